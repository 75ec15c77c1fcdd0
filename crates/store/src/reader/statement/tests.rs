use super::*;

fn check(sql: &str) -> String {
    match admit(sql) {
        Ok((kind, sql)) => format!("{kind:?}: {sql}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn reading_statements_pass_without_their_semicolon() {
    assert_eq!(check("SELECT 1"), "Select: SELECT 1");
    assert_eq!(check("select 1 ; -- done"), "Select: select 1 ");
    assert_eq!(
        check("/* a /* nested */ b */ (select 1)"),
        "Select: /* a /* nested */ b */ (select 1)"
    );
    assert_eq!(check("TABLE cin7.sale;"), "Select: TABLE cin7.sale");
    assert_eq!(check("EXPLAIN SELECT 1"), "Text: EXPLAIN SELECT 1");
    assert_eq!(check("show work_mem"), "Text: show work_mem");
}

#[test]
fn a_semicolon_inside_text_is_no_second_statement() {
    for sql in [
        "SELECT 'a;b'",
        "SELECT 'it''s;'",
        r"SELECT E'\';'",
        "SELECT $$;$$",
        "SELECT $a$ $b$; $a$",
        "SELECT 1 AS \"a;b\"",
        "SELECT 1 /* ; */",
        "SELECT 1 -- ;",
    ] {
        assert_eq!(check(sql), format!("Select: {sql}"));
    }
}

#[test]
fn a_second_statement_is_refused_wherever_it_hides() {
    for sql in [
        "SELECT 1; DROP TABLE x",
        "SELECT 1;;",
        "SELECT ''; DELETE FROM x",
        r"SELECT '\'; DELETE FROM x --'",
        "SELECT $a$ $a$; DELETE FROM x",
        "SELECT 1 -- \r; DELETE FROM x",
    ] {
        assert!(
            check(sql).starts_with("more than one statement is not allowed"),
            "{sql}: {}",
            check(sql)
        );
    }
}

#[test]
fn everything_else_is_named_in_the_refusal() {
    for (sql, what) in [
        ("DROP TABLE x", "`DROP`"),
        ("-- SELECT\nDELETE FROM x", "`DELETE`"),
        ("COPY (SELECT 1) TO PROGRAM 'sh'", "`COPY`"),
        ("SET work_mem = '1GB'", "`SET`"),
        ("COMMIT; DROP TABLE x", "more than one statement"),
        ("", "an empty statement"),
        (" ; ", "an empty statement"),
        ("1", "a statement that begins with neither word nor `(`"),
        ("SELECT \0", "a NUL character"),
    ] {
        assert_eq!(
            check(sql),
            format!(
                "{what} is not allowed: the door takes {}",
                super::super::error::ALLOWED
            )
        );
    }
}

#[test]
fn functions_that_reach_beyond_the_query_are_refused_however_they_are_written() {
    for sql in [
        "SELECT set_config('work_mem', '1GB', false)",
        "SELECT pg_catalog.SET_CONFIG('work_mem', '1GB', false)",
        "SELECT \"set_config\"('work_mem', '1GB', false)",
        "SELECT set_config/**/('a', 'b', true)",
        "SELECT U&\"set\\005fconfig\"('a', 'b', true)",
        "SELECT query_to_xml('select set_' || 'config(1)', true, true, '')",
        "SELECT query FROM pg_stat_activity",
        "SELECT pg_advisory_lock(1)",
        "SELECT lo_creat(-1)",
    ] {
        assert!(
            check(sql).contains("is not allowed"),
            "{sql}: {}",
            check(sql)
        );
    }
    assert_eq!(check("SELECT 'set_config'"), "Select: SELECT 'set_config'");
}

#[test]
fn what_explain_analyze_runs_is_found_at_its_own_place() {
    for (sql, run) in [
        ("EXPLAIN ANALYZE SELECT 1", "SELECT 1"),
        ("explain analyse verbose (SELECT 1)", "(SELECT 1)"),
        ("EXPLAIN (ANALYZE) SELECT (1)", "SELECT (1)"),
        ("EXPLAIN (COSTS off, ANALYZE true) (TABLE é)", "(TABLE é)"),
        (
            "/* é ( */ EXPLAIN (analyze)/* ) */WITH a AS (SELECT 1) TABLE a",
            "WITH a AS (SELECT 1) TABLE a",
        ),
    ] {
        let found = super::analyzed(sql).unwrap_or_default();
        assert!(found.ends_with(run), "{sql}: {found}");
        assert_eq!(found.chars().count(), sql.chars().count(), "{sql}");
        // What is left of it before the statement says nothing.
        let before = &found[..found.len() - run.len()];
        assert!(
            before.trim().is_empty() || before.trim() == "/* ) */",
            "{sql}: {found}"
        );
    }
    for sql in [
        "EXPLAIN SELECT 1",
        "EXPLAIN (VERBOSE) SELECT 1",
        "SHOW search_path",
        "SELECT 'explain analyze'",
    ] {
        assert_eq!(super::analyzed(sql), None, "{sql}");
    }
}
