//! What a page of the book can get wrong, found without building it: every check is a function from the repository's
//! text files to the list of faults, and each is also shown a repository with that fault in it.

mod cheat_sheet;
mod fences;
mod found_by;
mod includes;
mod links;
mod markdown;
mod preprocessor;
mod repository;
mod summary;
mod words;

use repository::Repository;

/// Fails with all faults at once, so that a writer mends them in one go.
fn none(faults: &[String]) {
    assert!(faults.is_empty(), "{} faults in the book:\n  {}\n", faults.len(), faults.join("\n  "));
}

/// The one fault of a sample.
fn only_fault(mut faults: Vec<String>) -> String {
    assert_eq!(faults.len(), 1, "one fault was put in, found were {faults:#?}");
    faults.remove(0)
}

#[test]
fn the_book_keeps_the_rules_of_its_fences() {
    none(&fences::faults(&Repository::read()));
}

#[test]
fn what_the_book_includes_is_there() {
    none(&includes::faults(&Repository::read()));
}

#[test]
fn links_and_anchors_lead_somewhere() {
    none(&links::faults(&Repository::read()));
}

#[test]
fn the_summary_and_the_pages_agree() {
    none(&summary::faults(&Repository::read()));
}

#[test]
fn no_page_is_longer_than_a_reader_will_stay() {
    none(&words::faults(&Repository::read()));
}

#[test]
fn the_cheat_sheet_has_every_line_in_both_languages() {
    none(&cheat_sheet::faults(&Repository::read()));
}

#[test]
fn what_the_gotchas_say_of_the_detectors_is_what_the_matrix_says() {
    none(&found_by::settle(&Repository::read()));
}
