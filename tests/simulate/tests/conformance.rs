//! The fake API server does what the table says; that the real one does too is shown in `tests/e2e/conformance.rs`.

#[test]
fn the_fake_api_server_does_as_the_table_says() {
    assert_eq!(firstaid_simulate::api_server::conformance::of_the_fake(), Vec::<String>::new());
}
