use super::*;

fn installed(major: u32) -> Binaries {
    Binaries {
        dir: format!("/pg/{major}/bin").into(),
        major,
    }
}

#[test]
fn reads_the_major_version_of_releases_and_betas() {
    assert_eq!(
        major_of("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"),
        Some(15)
    );
    assert_eq!(major_of("postgres (PostgreSQL) 18beta1"), Some(18));
    assert_eq!(major_of("not found"), None);
}

#[test]
fn a_directory_without_all_three_programs_is_no_server() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("postgres"), "").unwrap();
    assert_eq!(Binaries::at(dir.path()), None);
}

#[test]
fn the_version_that_made_the_data_wins_over_a_newer_one() {
    let found = vec![installed(17), installed(15)];
    let chosen = choose(found, Some(15), Path::new("/data")).unwrap();
    assert_eq!(chosen.major, 15);
}

#[test]
fn data_of_a_version_that_is_not_here_says_which_package_to_install() {
    let error = choose(
        vec![installed(17), installed(16)],
        Some(14),
        Path::new("/data"),
    )
    .unwrap_err();
    let said = error.to_string();
    assert!(said.contains("apt-get install postgresql-14"), "{said}");
    assert!(said.contains("17, 16"), "{said}");
}

#[test]
fn no_programs_at_all_says_which_package_to_install() {
    let error = choose(Vec::new(), None, Path::new("/data")).unwrap_err();
    assert!(
        error.to_string().contains("apt-get install postgresql"),
        "{error}"
    );
}
