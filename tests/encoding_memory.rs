//! Memory does not grow with the rows that are encoded.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "pipeline/tiny.rs"]
mod tiny;

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

const ROWS: usize = 100_000;
/// The bytes of a vector of the tiny encoder.
const ROW_BYTES: u64 = 30 * 4;

/// What a process held when so much of its work was done.
#[derive(Clone, Copy, Debug)]
struct Sample {
    rows: u64,
    kilobytes: u64,
}

#[test]
fn a_hundred_thousand_texts_take_no_more_memory_than_ten_thousand() {
    let home = tempfile::tempdir().unwrap();
    tiny::write(&home.path().join("bert"));
    let words = ["a cat", "red dogs", "a red cat", "dog", "cats a dog red"];
    let texts: Vec<String> = (0..ROWS)
        .map(|row| format!("{} {row}", words[row % words.len()]))
        .collect();
    fs_err::write(home.path().join("texts.txt"), texts.join("\n")).unwrap();
    fs_err::create_dir(home.path().join("out")).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_trendmill"))
        .args(["encoders", "embed", "--model", "bert"])
        .args(["--text-file", "texts.txt", "--out", "out/v.safetensors"])
        .current_dir(home.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let samples = watch(&mut child, &home.path().join("out"));
    assert!(child.wait().unwrap().success());
    let out = fs_err::metadata(home.path().join("out/v.safetensors")).unwrap();
    assert!(out.len() > ROWS as u64 * ROW_BYTES);

    let most = |from: usize, to: usize| {
        let share = |part: usize| (ROWS * part / 100) as u64;
        let within = samples
            .iter()
            .filter(|sample| (share(from)..=share(to)).contains(&sample.rows));
        within.map(|sample| sample.kilobytes).max()
    };
    let held = [most(5, 10), most(45, 55), most(90, 100)].map(Option::unwrap);
    println!("{held:?} kB at 10, 50 and 100 % of {ROWS} rows");
    // All vectors together take 12 MB, and 24 MB on their way into a file.
    assert!(held[2] < held[0] + 4_000, "{held:?} kB");
    assert!(held[1] < held[0] + 4_000, "{held:?} kB");
}

/// What the process held at every moment, with the rows that it had written.
fn watch(child: &mut Child, folder: &Path) -> Vec<Sample> {
    let mut samples = Vec::new();
    while child.try_wait().unwrap().is_none() {
        let files = fs_err::read_dir(folder).unwrap();
        let lengths = files.filter_map(|file| Some(file.ok()?.metadata().ok()?.len()));
        let rows = lengths.max().unwrap_or(0) / ROW_BYTES;
        if let Some(kilobytes) = resident_kilobytes(child.id()) {
            samples.push(Sample { rows, kilobytes });
        }
        thread::sleep(Duration::from_millis(2));
    }
    samples
}

/// None where the process has just ended.
fn resident_kilobytes(process: u32) -> Option<u64> {
    let status = fs_err::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
