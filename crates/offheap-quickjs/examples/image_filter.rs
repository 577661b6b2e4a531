//! Runs a script over the pixels of a PNG file. Script changes them in place: the decoder, script and the encoder use
//! the memory of one `Vec`.
//!
//! `image_filter IN.png OUT.png [FILTER.js]`; without arguments it filters a small image that it makes itself.
//!
//! The script has a `Uint8ClampedArray` with the name `pixels`, and the numbers `width`, `height` and `channels`: 4 in
//! an image with colours, 2 in a grey one. The last channel is alpha.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Write};
use std::path::Path;

use offheap_quickjs::offheap::BackingStore;
use offheap_quickjs::{Isolate, Source, U8Clamped};
use png::{ColorType, Compression, Decoder, Encoder, Transformations};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const MORE_CONTRAST: &str = "
for (let i = 0; i < pixels.length; i++) {
    if (i % channels !== channels - 1) pixels[i] = 1.5 * pixels[i] - 64
}";

struct Image {
    width: u32,
    height: u32,
    color: ColorType,
    pixels: Vec<u8>,
}

/// Runs the filter over the pixels, and returns the image with the same `Vec`.
fn filter(image: Image, filter: Source) -> Result<Image> {
    let channels = image.color.samples() as u32;
    let store = BackingStore::from_owner(image.pixels)?;
    Isolate::new()?.enter(|scope| -> Result<()> {
        let pixels = scope.expose_as::<U8Clamped>(&store)?;
        scope.set_global("pixels", &pixels)?;
        scope.set_global("width", image.width)?;
        scope.set_global("height", image.height)?;
        scope.set_global("channels", channels)?;
        Ok(scope.eval(filter)?)
    })?;
    // The isolate has ended, and script's references with it. So the `Vec` comes back.
    Ok(Image { pixels: store.try_into_unique()?.try_into_owner()?, ..image })
}

/// Reads a PNG file as 8 bits for each channel, with alpha.
fn read(path: &Path) -> Result<Image> {
    let mut decoder = Decoder::new(BufReader::new(File::open(path)?));
    decoder.set_transformations(Transformations::ALPHA | Transformations::STRIP_16);
    let mut reader = decoder.read_info()?;
    let mut pixels = vec![0; reader.output_buffer_size().ok_or("the image is too large")?];
    let info = reader.next_frame(&mut pixels)?;
    Ok(Image { width: info.width, height: info.height, color: info.color_type, pixels })
}

/// Writes a PNG file, row by row: the encoder has no second copy of the image.
fn write(path: &Path, image: &Image) -> Result<()> {
    let mut encoder = Encoder::new(BufWriter::new(File::create(path)?), image.width, image.height);
    encoder.set_color(image.color);
    encoder.set_compression(Compression::Fast);
    let mut writer = encoder.write_header()?;
    let mut rows = writer.stream_writer()?;
    rows.write_all(&image.pixels)?;
    rows.finish()?;
    Ok(writer.finish()?)
}

/// The most memory that this process has used at once, where the system tells it.
fn peak_memory() -> Option<String> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| Some(line.strip_prefix("VmHWM:")?.trim().to_owned()))
}

/// Writes a picture of 64 x 64 pixels: black at the left, white at the right.
fn make_an_image(path: &Path) -> Result<()> {
    let pixels = (0..64 * 64).map(|i| i % 64 * 4).flat_map(|level| [level as u8, level as u8, level as u8, 255]);
    write(path, &Image { width: 64, height: 64, color: ColorType::Rgba, pixels: pixels.collect() })
}

fn main() -> Result<()> {
    let mut arguments: Vec<_> = std::env::args_os().skip(1).map(std::path::PathBuf::from).collect();
    if arguments.is_empty() {
        let folder = std::env::temp_dir();
        arguments = vec![folder.join("offheap-in.png"), folder.join("offheap-out.png")];
        make_an_image(&arguments[0])?;
    }
    let (from, to, script) = match &arguments[..] {
        [from, to] => (from, to, None),
        [from, to, script] => (from, to, Some(script)),
        _ => return Err("use: image_filter IN.png OUT.png [FILTER.js]".into()),
    };
    let (name, text) = match script {
        Some(path) => (path.display().to_string(), fs::read_to_string(path)?),
        None => ("more_contrast.js".to_owned(), MORE_CONTRAST.to_owned()),
    };

    let image = read(from).map_err(|error| format!("cannot read {}: {error}", from.display()))?;
    let (address, byte_length) = (image.pixels.as_ptr(), image.pixels.len());
    let image = filter(image, Source::named(&name, &text))?;
    write(to, &image).map_err(|error| format!("cannot write {}: {error}", to.display()))?;

    println!("{} to {}", from.display(), to.display());
    println!("pixels: {byte_length} bytes, changed in place: {}", image.pixels.as_ptr() == address);
    println!("peak memory: {}", peak_memory().unwrap_or_else(|| "not known on this system".to_owned()));
    Ok(())
}
