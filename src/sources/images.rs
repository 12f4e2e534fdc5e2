//! A folder of images that join records by the names of their files.

use std::{
    cmp::Ordering,
    io,
    path::{Path, PathBuf},
};

use fs_err as fs;

const ENDINGS: [&str; 5] = ["jpg", "jpeg", "png", "webp", "gif"];

/// The images below a folder, by stem (the file's name without its ending).
#[derive(Clone, Debug, Default)]
pub struct ImageIndex {
    /// Sorted by stem.
    files: Vec<(String, PathBuf)>,
}

impl ImageIndex {
    /// The image files in `folder` and the folders in it, by the ending of their names.
    pub fn read(folder: &Path) -> io::Result<Self> {
        let mut files = Vec::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    files.push(path);
                }
            }
        }
        Ok(files.into_iter().collect())
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The images of the record `id`: those whose stem is the id, or begins with the id and
    /// something that is neither letter nor digit. Numbers within the names count as numbers, so
    /// that `x_2` comes before `x_10`.
    pub fn find(&self, id: &str) -> Vec<&Path> {
        if id.is_empty() {
            return Vec::new();
        }
        let start = self.files.partition_point(|(stem, _)| stem.as_str() < id);
        let mut found: Vec<_> = self.files[start..]
            .iter()
            .take_while(|(stem, _)| stem.starts_with(id))
            .filter(|(stem, _)| joins(stem, id))
            .collect();
        found.sort_by(|(a, a_path), (b, b_path)| {
            natural(&a[id.len()..], &b[id.len()..]).then_with(|| a_path.cmp(b_path))
        });
        found.into_iter().map(|(_, path)| path.as_path()).collect()
    }
}

impl FromIterator<PathBuf> for ImageIndex {
    /// The index of those among these files that are images by their names.
    fn from_iter<I: IntoIterator<Item = PathBuf>>(paths: I) -> Self {
        let mut files: Vec<_> = paths
            .into_iter()
            .filter_map(|path| {
                let ending = path.extension()?.to_str()?;
                let is_image = ENDINGS
                    .iter()
                    .any(|known| known.eq_ignore_ascii_case(ending));
                let stem = path.file_stem()?.to_str()?.to_owned();
                is_image.then_some((stem, path))
            })
            .collect();
        files.sort();
        Self { files }
    }
}

/// Whether a file with this stem belongs to `id`.
fn joins(stem: &str, id: &str) -> bool {
    stem.strip_prefix(id)
        .is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
}

/// Compares texts with the numbers in them by value.
fn natural(mut a: &str, mut b: &str) -> Ordering {
    loop {
        let (Some(x), Some(y)) = (a.chars().next(), b.chars().next()) else {
            return a.len().cmp(&b.len());
        };
        if x.is_ascii_digit() && y.is_ascii_digit() {
            let (number_a, rest_a) = split_number(a);
            let (number_b, rest_b) = split_number(b);
            let by_value = number_a.len().cmp(&number_b.len());
            match by_value.then_with(|| number_a.cmp(number_b)) {
                Ordering::Equal => (a, b) = (rest_a, rest_b),
                other => return other,
            }
        } else if x == y {
            (a, b) = (&a[x.len_utf8()..], &b[y.len_utf8()..]);
        } else {
            return x.cmp(&y);
        }
    }
}

/// The digits at the start of `text` without leading zeros, and the rest.
fn split_number(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    (text[..end].trim_start_matches('0'), &text[end..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn index(names: &[&str]) -> ImageIndex {
        names.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn joins_by_the_id_and_a_separator() {
        let index = index(&[
            "ab.jpg",
            "ab_2.png",
            "ab_10.png",
            "ab-thumb.JPEG",
            "abc.jpg",
            "ab1.jpg",
            "a.jpg",
            "ab_1.txt",
            "ab",
            "x/ab.webp",
        ]);
        let found: Vec<_> = index
            .find("ab")
            .iter()
            .map(|p| p.to_str().unwrap())
            .collect();
        assert_eq!(
            found,
            [
                "ab.jpg",
                "x/ab.webp",
                "ab-thumb.JPEG",
                "ab_2.png",
                "ab_10.png"
            ]
        );
        assert!(index.find("").is_empty());
        assert!(index.find("b").is_empty());
    }

    proptest! {
        #[test]
        fn finds_what_looking_at_every_file_finds(
            stems in proptest::collection::vec("[ab1_é]{1,4}", 0..12),
            id in "[ab1_é]{1,3}",
        ) {
            let paths = stems.iter().map(|stem| PathBuf::from(format!("{stem}.png")));
            let index: ImageIndex = paths.clone().collect();
            let mut expected: Vec<_> = paths
                .filter(|path| joins(path.file_stem().unwrap().to_str().unwrap(), &id))
                .collect();
            expected.sort();
            let mut found: Vec<_> = index.find(&id).into_iter().map(Path::to_owned).collect();
            found.sort();
            prop_assert_eq!(found, expected);
        }
    }
}
