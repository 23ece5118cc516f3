pub(crate) fn run(_r: &crate::repository::Repository) -> Result<bool, crate::stop::Stop> {
    Ok(true)
}
