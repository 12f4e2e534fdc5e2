//! Searches by hand, without a network.

use super::*;

/// Rules that change nothing.
fn rules() -> Rules {
    Settings::default()
        .rules(1, 100, vec![0], None, None)
        .unwrap()
}

/// A network whose scores of the next token depend on the last one alone.
fn table(rows: &'static [[f32; 4]]) -> impl FnMut(Step<'_>) -> Result<Vec<f32>, ImageError> {
    move |step| {
        let count = step.tokens.len() / step.parents.len();
        let last = step
            .tokens
            .chunks_exact(count)
            .map(|tokens| tokens[count - 1]);
        Ok(last.flat_map(|token| rows[token as usize]).collect())
    }
}

/// 1 → 2 or 3, 3 → 0; 2 goes round.
const ROUND: [[f32; 4]; 4] = [
    [0.0, 0.0, 0.0, 0.0],
    [-9.0, -9.0, 0.1, 0.0],
    [-1.0, -9.0, 0.0, -0.5],
    [3.0, -9.0, 0.0, 0.0],
];

fn found(prompt: &[u32], rules: &Rules) -> Vec<u32> {
    let mut rows = generate(prompt, 1, rules, table(&ROUND));
    rows.swap_remove(0).unwrap()
}

#[test]
fn the_best_token_comes_next_until_the_end() {
    assert_eq!(found(&[3], &rules()), [3, 0]);
    let rules = Rules {
        longest: 5,
        ..rules()
    };
    assert_eq!(found(&[1], &rules), [1, 2, 2, 2, 2]);
    let rules = Rules {
        no_repeat: 2,
        ..rules
    };
    assert_eq!(found(&[1], &rules), [1, 2, 2, 3, 0]);
}

#[test]
fn beams_find_what_the_best_first_token_hides() {
    let rules = Rules {
        beams: 2,
        longest: 5,
        ..rules()
    };
    assert_eq!(found(&[1], &rules), [1, 3, 0]);
}

#[test]
fn finished_pictures_leave_and_broken_ones_harm_no_other() {
    let mut calls = Vec::new();
    let mut next = table(&ROUND);
    let rules = Rules {
        longest: 6,
        no_repeat: 2,
        ..rules()
    };
    let rows = generate(&[1], 3, &rules, |step| {
        calls.push((step.pictures.to_vec(), step.parents.to_vec()));
        let mut logits = next(step)?;
        match calls.len() {
            // The second picture goes to 3 at once.
            1 => logits[4 + 3] = 1.0,
            // The last one is no number.
            3 => *logits.last_mut().unwrap() = f32::NAN,
            _ => {}
        }
        Ok(logits)
    });
    assert_eq!(rows[0].as_ref().unwrap(), &[1, 2, 2, 3, 0]);
    assert_eq!(rows[1].as_ref().unwrap(), &[1, 3, 0]);
    let error = rows[2].as_ref().unwrap_err().to_string();
    assert!(error.contains("not finite"), "{error}");
    let all = [0, 1, 2].to_vec();
    let some = |rows: &[usize]| rows.to_vec();
    assert_eq!(calls[..2], [(all.clone(), all.clone()), (all.clone(), all)]);
    assert_eq!(
        calls[2..],
        [(some(&[0, 2]), some(&[0, 2])), (some(&[0]), some(&[0]))]
    );
}

#[test]
fn what_the_device_fails_at_all_fail_at() {
    let rows = generate(&[1], 2, &rules(), |_| {
        Err(ImageError::Compute("out of memory".to_owned()))
    });
    for row in rows {
        let error = row.unwrap_err().to_string();
        assert!(error.contains("out of memory"), "{error}");
    }
}

#[test]
fn lengths_are_counted_as_the_library_counts_them() {
    let longest = |settings: &str, max_tokens| {
        let settings: Settings = serde_json::from_str(settings).unwrap();
        let rules = settings.rules(3, 50, vec![0], max_tokens, None);
        rules.map(|rules| rules.longest)
    };
    assert_eq!(longest("{}", None), Ok(23));
    assert_eq!(longest(r#"{"max_length": 20}"#, None), Ok(20));
    assert_eq!(
        longest(r#"{"max_length": 20, "max_new_tokens": 9}"#, None),
        Ok(12)
    );
    assert_eq!(longest(r#"{"max_length": 20}"#, Some(4)), Ok(7));
    assert_eq!(longest("{}", Some(usize::MAX)), Ok(51));
    let unasked = Settings::default().rules(3, 9, vec![0], None, None);
    assert_eq!(unasked.unwrap().longest, 9);
    for (settings, max_tokens) in [(r#"{"max_length": 3}"#, None), ("{}", Some(0))] {
        let error = longest(settings, max_tokens).unwrap_err();
        assert!(error.contains("3 tokens"), "{error}");
    }
}

#[test]
fn settings_that_cannot_be_kept_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let read = |text: &str| {
        fs_err::write(folder.path().join("generation_config.json"), text).unwrap();
        Settings::of_directory(folder.path())
    };
    assert!(Settings::of_directory(folder.path()).unwrap().is_none());
    assert!(read(r#"{"do_sample": false, "bad_words_ids": null, "top_k": 9}"#).is_ok());
    for (text, words) in [
        (
            r#"{"do_sample": true}"#,
            "`do_sample` is true; it can only be false",
        ),
        (r#"{"bad_words_ids": [[1]]}"#, "`bad_words_ids` is [[1]]"),
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    let settings = read(r#"{"early_stopping": "soon"}"#).unwrap().unwrap();
    let error = settings.rules(1, 9, Vec::new(), None, None).unwrap_err();
    assert!(error.contains("`early_stopping` is \"soon\""), "{error}");
}
