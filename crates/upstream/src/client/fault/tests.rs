use std::io;
use std::sync::Arc;

use reqwest::dns::{Name, Resolve, Resolving};

use super::*;

/// Fails every connection with one error of the operating system.
struct Failing(i32);

impl Resolve for Failing {
    fn resolve(&self, _: Name) -> Resolving {
        let error = io::Error::from_raw_os_error(self.0);
        Box::pin(async move { Err(error.into()) })
    }
}

async fn code_of(errno: i32) -> String {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder()
        .no_proxy()
        .dns_resolver(Arc::new(Failing(errno)))
        .build()
        .unwrap();
    let error = http
        .get("http://nowhere.example/")
        .send()
        .await
        .unwrap_err();
    match name_fault(&error, 30_000) {
        Fault::Transient { cause, unsent } => {
            assert!(unsent, "what never connected was never sent");
            cause.code
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn b94_to_b98_errors_of_the_operating_system_have_the_names_that_people_know() {
    assert_eq!(code_of(ETIMEDOUT).await, "ETIMEDOUT");
    assert_eq!(code_of(ECONNREFUSED).await, "ECONNREFUSED");
    assert_eq!(code_of(ENETUNREACH).await, "ENETUNREACH");
    assert_eq!(code_of(EHOSTUNREACH).await, "ENETUNREACH");
    assert_eq!(code_of(ECONNRESET).await, "ECONNRESET");
    assert_eq!(code_of(5).await, "ERR_NETWORK");
}

#[tokio::test]
async fn a_name_without_public_addresses_is_not_called() {
    struct Private;
    impl Resolve for Private {
        fn resolve(&self, name: Name) -> Resolving {
            let error = OnlyPrivate(name.as_str().to_owned());
            Box::pin(async move { Err(error.into()) })
        }
    }
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder()
        .no_proxy()
        .dns_resolver(Arc::new(Private))
        .build()
        .unwrap();
    let error = http.get("http://inside.example/").send().await.unwrap_err();
    assert!(matches!(name_fault(&error, 1), Fault::Private(_)));
}
