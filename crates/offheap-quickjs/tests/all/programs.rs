//! The example programs that read and write files, as a user runs them, on files that the tests make.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use png::{BitDepth, ColorType};

/// A folder in the folder for temporary files, which is removed with this value.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("offheap-programs-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Whether the program succeeded, and what it printed.
fn run(example: &str, arguments: &[&dyn AsRef<OsStr>]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO"));
    command.args(["run", "--quiet", "--package", "offheap-quickjs", "--example", example, "--"]);
    command.args(arguments.iter().map(|argument| argument.as_ref()));
    let output = command.output().unwrap();
    let printed = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(printed).unwrap())
}

fn write_png(path: &Path, width: u32, height: u32, color: ColorType, depth: BitDepth, data: &[u8]) {
    let mut encoder = png::Encoder::new(fs::File::create(path).unwrap(), width, height);
    encoder.set_color(color);
    encoder.set_depth(depth);
    encoder.set_palette(&[0, 0, 0, 100, 150, 200][..]);
    encoder.write_header().unwrap().write_image_data(data).unwrap();
}

/// The colour type and the bytes of an image with 8 bits for each channel.
fn read_png(path: &Path) -> (ColorType, Vec<u8>) {
    let file = std::io::BufReader::new(fs::File::open(path).unwrap());
    let mut reader = png::Decoder::new(file).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    assert_eq!(info.bit_depth, BitDepth::Eight);
    (info.color_type, pixels)
}

/// What the program's own filter makes of a byte that is not alpha.
fn more_contrast(level: u8) -> u8 {
    (f64::from(level) * 1.5 - 64.0).round_ties_even().clamp(0.0, 255.0) as u8
}

/// The number in front of `kB`, in bytes, if the system tells it.
fn peak_memory(printed: &str) -> Option<usize> {
    let line = printed.lines().find_map(|line| line.strip_prefix("peak memory: ")).unwrap();
    Some(line.strip_suffix(" kB")?.parse::<usize>().unwrap() * 1024)
}

#[test]
fn image_filter_changes_images_of_each_colour_type() {
    use ColorType::{Grayscale, GrayscaleAlpha, Indexed, Rgb, Rgba};
    let folder = Folder::new("colours");
    let (from, to) = (folder.file("in.png"), folder.file("out.png"));
    let levels: Vec<u8> = (0..=255).collect();
    let sixteen: Vec<u8> = levels.iter().flat_map(|&level| [level, 77]).collect();
    for (color, depth, data, width, expected_color) in [
        (Rgba, BitDepth::Eight, &levels[..], 64, Rgba),
        (Rgb, BitDepth::Eight, &levels[..255], 85, Rgba),
        (Grayscale, BitDepth::Eight, &levels[..], 256, GrayscaleAlpha),
        (Grayscale, BitDepth::Sixteen, &sixteen[..], 256, GrayscaleAlpha),
        (Indexed, BitDepth::One, &[0b0110_1001], 8, Rgba),
    ] {
        write_png(&from, width, 1, color, depth, data);
        let (succeeded, printed) = run("image_filter", &[&from, &to]);
        assert!(succeeded, "{printed}");
        assert!(printed.contains("changed in place: true"), "{printed}");

        // The image with alpha and 8 bits, as script sees it.
        let seen: Vec<u8> = match color {
            Rgba => data.to_vec(),
            Rgb => data.chunks(3).flat_map(|pixel| [pixel, &[255]].concat()).collect(),
            Indexed => (0..8)
                .flat_map(|bit| [[0, 0, 0, 255], [100, 150, 200, 255]][data[0] as usize >> (7 - bit) & 1])
                .collect(),
            _ => levels.iter().flat_map(|&level| [level, 255]).collect(),
        };
        let channels = expected_color.samples();
        let alpha = |index: usize| index % channels == channels - 1;
        let expected =
            seen.iter().enumerate().map(|(index, &byte)| if alpha(index) { byte } else { more_contrast(byte) });
        assert_eq!(read_png(&to), (expected_color, expected.collect()), "{color:?} {depth:?}");
    }
}

#[test]
fn image_filter_needs_no_second_copy_of_the_image() {
    let folder = Folder::new("memory");
    let (from, to, filter) = (folder.file("in.png"), folder.file("out.png"), folder.file("fill.js"));
    fs::write(&filter, "pixels.fill(7); pixels[0] = width; pixels[1] = height / 16; pixels[2] = channels").unwrap();
    let mut peaks = Vec::new();
    for (width, height) in [(16, 16), (160, 16 << 10)] {
        let byte_length = width as usize * height as usize * 4;
        write_png(&from, width, height, ColorType::Rgba, BitDepth::Eight, &vec![1; byte_length]);
        let (succeeded, printed) = run("image_filter", &[&from, &to, &filter]);
        assert!(succeeded && printed.contains(&format!("{byte_length} bytes, changed in place: true")), "{printed}");
        let pixels = read_png(&to).1;
        assert_eq!(pixels[..3], [width as u8, (height / 16).min(255) as u8, 4]);
        assert!(pixels[3..].iter().all(|&byte| byte == 7) && pixels.len() == byte_length);
        peaks.extend(peak_memory(&printed).map(|peak| (peak, byte_length)));
    }
    if let [(small, _), (large, byte_length)] = peaks[..] {
        assert!(large - small < byte_length * 3 / 2, "{small} bytes, and {large} with {byte_length} of pixels");
    }
}

#[test]
fn image_filter_says_what_is_wrong() {
    let folder = Folder::new("wrong");
    let (from, to, filter) = (folder.file("in.png"), folder.file("out.png"), folder.file("wrong.js"));
    let (succeeded, printed) = run("image_filter", &[&from]);
    assert!(!succeeded && printed.contains("use: image_filter IN.png OUT.png [FILTER.js]"), "{printed}");
    write_png(&from, 1, 1, ColorType::Rgba, BitDepth::Eight, &[0; 4]);
    fs::write(&filter, "\npixel.fill(7)").unwrap();
    let (succeeded, printed) = run("image_filter", &[&from, &to, &filter]);
    assert!(!succeeded && printed.contains("ReferenceError") && printed.contains("wrong.js:2"), "{printed}");
    assert!(!to.exists());
}
