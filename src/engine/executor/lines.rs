//! Lines that a child says, none longer than a log can bear.

use std::io;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};

/// How many bytes of a line a log keeps.
pub const LONGEST_LINE: usize = 64 << 10;
/// How many bytes of a line are held: more than a log keeps of it, for a message between
/// processes has its words escaped.
const HELD: usize = 1 << 20;

/// Reads a pipe line by line; what a line has beyond a mebibyte is passed over.
#[derive(Debug)]
pub struct ChildLines<R> {
    pipe: BufReader<R>,
}

impl<R: AsyncRead + Unpin> ChildLines<R> {
    /// The lines of this pipe.
    pub fn new(pipe: R) -> Self {
        Self {
            pipe: BufReader::new(pipe),
        }
    }

    /// The next line without its end; none once the pipe is at its own.
    ///
    /// # Errors
    ///
    /// Where the pipe cannot be read.
    pub async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        let mut begun = false;
        loop {
            let bytes = self.pipe.fill_buf().await?;
            if bytes.is_empty() {
                return Ok(begun.then_some(line));
            }
            begun = true;
            let end = bytes.iter().position(|&byte| byte == b'\n');
            let part = &bytes[..end.unwrap_or(bytes.len())];
            line.extend_from_slice(&part[..part.len().min(HELD - line.len())]);
            let read = part.len() + usize::from(end.is_some());
            self.pipe.consume(read);
            if end.is_some() {
                return Ok(Some(line));
            }
        }
    }
}

/// A text of at most `longest` bytes; one that was longer ends with a mark that says so.
pub fn cut(text: String, longest: usize) -> String {
    if text.len() <= longest {
        return text;
    }
    let kept = &text[..text.floor_char_boundary(longest)];
    format!("{kept} … [cut after {longest} bytes]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_line_without_end_is_held_in_part_and_the_next_one_is_whole() {
        let mut said = b"first\n".to_vec();
        said.extend(vec![b'x'; 3 * HELD]);
        said.extend(b"\n\nlast");
        let mut lines = ChildLines::new(said.as_slice());
        let mut lengths = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            lengths.push(line.len());
        }
        assert_eq!(lengths, [5, HELD, 0, 4]);
    }

    #[test]
    fn a_cut_says_so_and_keeps_letters_whole() {
        assert_eq!(cut("day".to_owned(), 3), "day");
        assert_eq!(cut("días".to_owned(), 2), "d … [cut after 2 bytes]");
    }
}
