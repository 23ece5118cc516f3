//! The compiler's messages that the exercise `compile_errors` shows.

use std::{fs, path::Path};

/// `cargo test -p testing --test compiler_messages -- --ignored`; with `TRYBUILD=overwrite` the messages are recorded anew.
#[test]
#[ignore = "the words are those of one version of the compiler, and it builds a project of its own"]
fn the_messages_are_what_the_compiler_says() {
    trybuild::TestCases::new().compile_fail("tests/compile_errors/*.rs");
}

/// The code and the messages in a file are the recorded ones, or parts of them.
#[test]
fn the_readme_shows_what_was_recorded() {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &Path| {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        text.replace("\r\n", "\n")
    };
    let mut recorded = String::new();
    let mut shown = Vec::new();
    for entry in fs::read_dir(crate_folder.join("tests/compile_errors")).expect("the folder is there") {
        let path = entry.expect("it can be read").path();
        recorded += &read(&path);
        if path.extension().is_some_and(|extension| extension == "rs") {
            shown.push((path.file_stem().expect("it has a name").to_string_lossy().into_owned(), 0));
        }
    }
    let readme = read(&crate_folder.join("exercises/compile_errors/README.md"));
    for section in readme.split("\n## ").skip(1) {
        // Fences are every second part.
        for fence in section.split("\n```").skip(1).step_by(2) {
            let (language, code) = fence.split_once('\n').expect("a fence has lines");
            assert!(["rust", "text"].contains(&language), "a fence marked {language:?}");
            assert!(recorded.contains(code), "not in tests/compile_errors:\n{code}");
            let case = shown.iter_mut().find(|(name, _)| section.contains(&format!("{name}.rs")));
            case.unwrap_or_else(|| panic!("no file is named in\n{section}")).1 += 1;
        }
    }
    for (name, fences) in shown {
        assert_eq!(fences, 2, "README.md should show the code and the message of {name}.rs");
    }
}
