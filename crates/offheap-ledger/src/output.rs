//! Where the lines of the stream go.

use std::io::{self, BufWriter, Write};

use offheap_report::format::Line;

/// What receives the lines, on the stream's own thread.
pub(crate) trait Output: Send {
    fn line(&mut self, line: &Line) -> io::Result<()>;

    /// Nothing more is waiting.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// There are no more lines.
    fn finish(&mut self) -> io::Result<()> {
        self.flush()
    }
}

/// One JSON object a line.
pub(crate) struct Text<W: Write>(BufWriter<W>);

impl<W: Write> Text<W> {
    pub(crate) fn new(to: W) -> Self {
        Text(BufWriter::with_capacity(64 << 10, to))
    }
}

impl<W: Write + Send> Output for Text<W> {
    fn line(&mut self, line: &Line) -> io::Result<()> {
        serde_json::to_writer(&mut self.0, line)?;
        self.0.write_all(b"\n")
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Several outputs. One that fails gets no more lines, and the others go on.
pub(crate) struct All {
    outputs: Vec<Box<dyn Output>>,
    failed: Option<io::Error>,
}

impl All {
    /// What these outputs are together; `None` if there are none.
    pub(crate) fn of(mut outputs: Vec<Box<dyn Output>>) -> Option<Box<dyn Output>> {
        match outputs.len() {
            0 | 1 => outputs.pop(),
            _ => Some(Box::new(All { outputs, failed: None })),
        }
    }

    fn each(&mut self, mut act: impl FnMut(&mut dyn Output) -> io::Result<()>) {
        self.outputs.retain_mut(|output| match act(&mut **output) {
            Ok(()) => true,
            Err(error) => {
                self.failed.get_or_insert(error);
                false
            }
        });
    }
}

impl Output for All {
    fn line(&mut self, line: &Line) -> io::Result<()> {
        self.each(|output| output.line(line));
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.each(|output| output.flush());
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.each(|output| output.finish());
        self.failed.take().map_or(Ok(()), Err)
    }
}

/// A function that takes each line.
pub(crate) struct Function<F>(pub(crate) F);

impl<F: FnMut(&Line) -> io::Result<()> + Send> Output for Function<F> {
    fn line(&mut self, line: &Line) -> io::Result<()> {
        (self.0)(line)
    }
}
