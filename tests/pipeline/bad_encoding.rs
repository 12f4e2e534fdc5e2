//! Bad input to encoders: what a person sees of it, and that no other row is harmed.
use std::{path::Path, process::Output};

use safetensors::SafeTensors;
use serde_json::Value;

use crate::{
    home::{Home, stderr},
    served::{Captions, Reply},
    tiny,
};

/// A file of the repository's `tests/fixtures`.
fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name);
    path.to_str().unwrap().to_owned()
}

/// A home with a text encoder in `bert`.
fn home() -> Home {
    let home = Home::empty();
    tiny::write(&home.path().join("bert"));
    home
}

/// What `encoders embed` said, and the rows that it wrote.
fn embed(home: &Home, words: &[&str]) -> (Output, Vec<Vec<f32>>) {
    let out = home.path().join("out.safetensors");
    let _ = fs_err::remove_file(&out);
    let words = [&["encoders", "embed", "--out", "out.safetensors"], words].concat();
    let output = home.run(&words);
    let mut rows = Vec::new();
    if let Ok(bytes) = fs_err::read(&out) {
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let tensor = file.tensor("embeddings").unwrap();
        let values = tensor.data().as_chunks::<4>().0.iter();
        let values: Vec<f32> = values.map(|bytes| f32::from_le_bytes(*bytes)).collect();
        rows.extend(values.chunks_exact(tensor.shape()[1]).map(<[f32]>::to_vec));
        assert_eq!(rows.len(), tensor.shape()[0]);
    }
    (output, rows)
}

/// A vector, where it is one.
fn is_vector(row: &[f32]) -> bool {
    assert!(row.iter().all(|value| value.is_nan()) || row.iter().all(|value| value.is_finite()));
    row[0].is_finite()
}

/// What is bad, whether it gets a vector all the same, and what is said where not.
type Row<'a> = (&'a str, Vec<u8>, Result<(), &'a str>);

#[test]
fn a_bad_text_has_a_vector_or_a_name_and_harms_no_other() {
    let home = home();
    let texts: [Row<'_>; 7] = [
        ("1 MB of words", "red cats ".repeat(111_112).into(), Ok(())),
        ("1 MB without a space", vec![b'a'; 1_000_000], Ok(())),
        ("nothing", Vec::new(), Ok(())),
        ("spaces", b"  \t ".to_vec(), Ok(())),
        ("emoji alone", "😀🎉🔥👩‍👩‍👧".into(), Ok(())),
        (
            "no UTF-8",
            b"a red \xff\xfe dog".to_vec(),
            Err("`texts.txt`, line 2: byte 7 (0xff) is not UTF-8"),
        ),
        (
            "cut within a character",
            b"a dog \xf0\x9f\x98".to_vec(),
            Err("`texts.txt`, line 2: byte 7 (0xf0) is not UTF-8"),
        ),
    ];
    home.write("texts.txt", "a cat\nred dogs\n");
    let (output, good) = embed(&home, &["--model", "bert", "--text-file", "texts.txt"]);
    assert!(output.status.success(), "{}", stderr(&output));
    for (what, text, expected) in texts {
        let file = [b"a cat\n", text.as_slice(), b"\nred dogs\n"].concat();
        home.write("texts.txt", file);
        let (output, rows) = embed(&home, &["--model", "bert", "--text-file", "texts.txt"]);
        let said = stderr(&output);
        let code = i32::from(expected.is_err());
        assert_eq!(output.status.code(), Some(code), "{what}: {said}");
        assert_eq!(rows.len(), 3, "{what}");
        assert_eq!([&rows[0], &rows[2]], [&good[0], &good[1]], "{what}");
        assert_eq!(is_vector(&rows[1]), expected.is_ok(), "{what}");
        let words = expected.err().unwrap_or_default();
        assert!(
            said.contains(words) && said.lines().count() < 4,
            "{what}: {said}"
        );
    }
}

/// A picture of one colour.
fn png(width: u32, height: u32) -> Vec<u8> {
    let picture = image::RgbImage::from_pixel(width, height, image::Rgb([200, 30, 90]));
    trendmill::media::encode_png(&picture).unwrap()
}

/// The bad pictures.
fn pictures() -> Vec<Row<'static>> {
    let cut = |name: &str, part: usize| {
        let mut bytes = fs_err::read(fixture("pictures/") + name).unwrap();
        bytes.truncate(bytes.len() * part / 100);
        bytes
    };
    vec![
        ("1x1.png", png(1, 1), Ok(())),
        ("strip.png", png(20_000, 10), Ok(())),
        (
            "too-long.png",
            png(20_001, 10),
            Err("20001×10 pixels; at most 20000 a side"),
        ),
        (
            "half.jpg",
            cut("jpeg_420.jpg", 50),
            Err("the file is cut off"),
        ),
        (
            "head.jpg",
            cut("jpeg_420.jpg", 10),
            Err("the file is cut off"),
        ),
        (
            "progressive.jpg",
            cut("jpeg_progressive.jpg", 95),
            Err("the file is cut off"),
        ),
        (
            "half.png",
            cut("png_rgb.png", 50),
            Err("the file is cut off"),
        ),
        (
            "half.webp",
            cut("webp.webp", 50),
            Err("the file is cut off"),
        ),
        ("half.gif", cut("gif.gif", 50), Err("the file is cut off")),
        (
            "page.jpg",
            b"<!DOCTYPE html><p>gone".to_vec(),
            Err("it is a web page"),
        ),
        (
            "words.jpg",
            b"not a picture".to_vec(),
            Err("it is not a JPEG, PNG, WebP or GIF file"),
        ),
        (
            "empty.jpg",
            Vec::new(),
            Err("it is not a JPEG, PNG, WebP or GIF file"),
        ),
    ]
}

#[test]
fn a_bad_picture_has_a_vector_or_a_name_and_harms_no_other() {
    let home = home();
    let good = [fixture("timm/wide.png"), fixture("pictures/jpeg_420.jpg")];
    let bad = pictures();
    for (name, bytes, _) in &bad {
        home.write(name, bytes);
    }
    let mut files = vec![good[0].as_str()];
    files.extend(bad.iter().map(|(name, ..)| *name));
    files.extend(["missing.jpg", good[1].as_str()]);
    for model in [
        fixture("timm/vit"),
        fixture("timm/resnet"),
        fixture("visual/base"),
    ] {
        let of = |files: &[&str]| {
            embed(
                &home,
                &[&["--model", &model, "--image-file"], files].concat(),
            )
        };
        let (_, alone) = of(&[&good[0], &good[1]]);
        let (output, rows) = of(&files);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("11 of 15 rows have no vector"), "{said}");
        assert_eq!([&rows[0], &rows[14]], [&alone[0], &alone[1]], "{model}");
        for ((name, _, expected), row) in bad.iter().zip(&rows[1..]) {
            assert_eq!(is_vector(row), expected.is_ok(), "{name}");
        }
        assert!(said.contains("row 4, `half.jpg`: cannot decode the image: the file is cut off"));

        let json = home.run(
            &[
                &[
                    "--json",
                    "encoders",
                    "embed",
                    "--out",
                    "out.safetensors",
                    "--model",
                    &model,
                ],
                &["--image-file"][..],
                &files,
            ]
            .concat(),
        );
        let written: Value = serde_json::from_slice(&json.stdout).unwrap();
        let failed = written[0]["failed"].as_array().unwrap();
        let named = bad
            .iter()
            .filter_map(|(name, _, expected)| Some((*name, expected.err()?)));
        let named = named.chain([("missing.jpg", "cannot read the image")]);
        assert_eq!(failed.len(), named.clone().count());
        for (found, (name, words)) in failed.iter().zip(named) {
            assert_eq!(
                found["row"],
                files.iter().position(|file| *file == name).unwrap()
            );
            assert_eq!(found["source"], format!("`{name}`"));
            assert!(found["error"].as_str().unwrap().contains(words), "{found}");
        }
    }
}

#[test]
fn a_bad_checkpoint_is_named_and_writes_nothing() {
    let home = home();
    home.write("texts.txt", "a cat\n");
    let refused = |model: &str, code: i32, words: &[&str]| {
        let (output, rows) = embed(&home, &["--model", model, "--text-file", "texts.txt"]);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(
            said.starts_with("error: ") && said.lines().count() == 1,
            "{said}"
        );
        for words in words {
            assert!(said.contains(words), "{said}");
        }
        assert!(rows.is_empty());
    };
    let path = home.path().join("bert/model.safetensors");
    let good = fs_err::read(&path).unwrap();
    let name = "encoder.layer.1.attention.self.key.weight";
    let (head, tensors) = SafeTensors::read_metadata(&good).unwrap();
    let place = 8 + head + tensors.info(name).unwrap().data_offsets.0;
    for number in [f32::NAN, f32::INFINITY] {
        let mut bytes = good.clone();
        bytes[place..place + 4].copy_from_slice(&number.to_le_bytes());
        fs_err::write(&path, bytes).unwrap();
        refused(
            "bert",
            2,
            &["bert/model.safetensors", name, "holds NaN, infinity"],
        );
    }
    fs_err::write(&path, &good[..good.len() / 2]).unwrap();
    refused("bert", 2, &["bert/model.safetensors"]);
    fs_err::write(&path, &good).unwrap();
    let tokenizer = home.path().join("bert/tokenizer.json");
    let words = fs_err::read_to_string(&tokenizer).unwrap();
    fs_err::write(&tokenizer, words.replace("\"cat\":6", "\"cat\":101")).unwrap();
    refused(
        "bert",
        2,
        &["`cat` has the id 101, and the model has 101 tokens"],
    );

    // A file of a name in the catalogue has one right content.
    let snapshot = "hub/models--sentence-transformers--all-MiniLM-L6-v2/snapshots/\
                    c9745ed1d9f207416be6d2e6f8de32d1f16199bf";
    for name in ["config.json", "tokenizer.json", "model.safetensors"] {
        home.write(&format!("hf/{snapshot}/{name}"), "{}");
    }
    home.write(
        "trendmill.toml",
        "[encoders]\nhf_home = \"hf\"\ncache_dir = \"own\"\noffline = true\n",
    );
    refused(
        "all-minilm-l6-v2",
        3,
        &["config.json", "is not the pinned file", "remove it"],
    );
}

/// What `encoders caption` says of 20 pictures.
fn captions(home: &Home) -> (Output, Vec<Value>) {
    let files: Vec<String> = (0..20).map(|file| format!("{file}.png")).collect();
    let words = ["encoders", "caption", "--model", "openai", "--image-file"];
    let words: Vec<&str> = words
        .into_iter()
        .chain(files.iter().map(String::as_str))
        .collect();
    let output = home.run(&words);
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    let lines: Vec<Value> = lines.collect();
    assert_eq!(lines.len(), 20, "{}", stderr(&output));
    for (line, file) in lines.iter().zip(&files) {
        assert_eq!(line["file"], *file);
        assert_ne!(
            line["caption"].is_string(),
            line["error"].is_string(),
            "{line}"
        );
    }
    (output, lines)
}

#[test]
fn a_bad_server_of_captions_costs_its_own_pictures_or_is_asked_no_more() {
    // Some pictures, by the order in which they come: they are asked about one at a time.
    let now_and_then = Captions::that(|asked| match asked.number {
        3 => Reply::Hang,
        5 => Reply::Text(200, "<!DOCTYPE html><p>a login".to_owned()),
        7 => Reply::Head(429, "retry-after", "0".to_owned()),
        9 => Reply::Text(200, "{".to_owned()),
        number => Reply::Say(format!("picture {number}")),
    });
    let hangs = Captions::that(|_| Reply::Hang);
    let pages = Captions::that(|_| Reply::Text(200, "<html>a login</html>".to_owned()));
    // Far more often than 500 times, if it were asked.
    let refuses = Captions::that(|_| Reply::Head(429, "retry-after", "0".to_owned()));
    let servers = [
        (
            now_and_then,
            17,
            &["timeout", "html", "malformed"][..],
            "3 of 20 images",
            25,
        ),
        (
            hangs,
            0,
            &["timeout"],
            "the last because the server did not answer in time",
            30,
        ),
        (
            pages,
            0,
            &["html"],
            "the last because the server answered with a web page",
            30,
        ),
        (refuses, 0, &["rate_limited"], "the last because", 60),
    ];
    for (server, good, reasons, words, most) in servers {
        let home = Home::empty();
        home.write(
            "trendmill.toml",
            format!(
                "[captioner.openai]\nbase_url = \"{}/v1/\"\nmodel = \"see/it\"\nconcurrency = 1\n\
                 request_timeout = \"1s\"\n",
                server.url()
            ),
        );
        for file in 0..20 {
            home.write(&format!("{file}.png"), png(file + 1, 9));
        }
        let (output, lines) = captions(&home);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(words), "{said}");
        let captioned = lines.iter().filter(|line| line["caption"].is_string());
        assert_eq!(captioned.count(), good, "{lines:?}");
        for reason in reasons {
            assert!(
                lines.iter().any(|line| line["reason"] == *reason),
                "{reason}: {lines:?}"
            );
        }
        assert!(
            server.asked().len() <= most,
            "{} requests",
            server.asked().len()
        );
    }
}
