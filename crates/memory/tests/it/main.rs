//! Embedders elsewhere, over real HTTP.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop there"
)]

use std::time::Duration;

use memory::{EmbedError, Embedder as _, Endpoint, EndpointSettings};
use simulators::embeddings::{Embeddings, Mood, Options};
use upstream::Secret;

async fn service(options: Options) -> Embeddings {
    Embeddings::start(options, "127.0.0.1:0".parse().unwrap())
        .await
        .unwrap()
}

fn settings(service: &Embeddings) -> EndpointSettings {
    EndpointSettings {
        url: service.url(),
        model: "made-up".to_owned(),
        dimensions: 256,
        asks_dimensions: false,
        version: "1".to_owned(),
        key: None,
        batch_max: 64,
        timeout: Duration::from_secs(60),
        attempts: 3,
        backoff_first: Duration::from_millis(1),
        private_hosts: true,
    }
}

fn texts(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("text number {n}")).collect()
}

#[tokio::test]
async fn texts_go_in_batches_and_vectors_come_in_their_order() {
    let service = service(Options::default()).await;
    let endpoint = Endpoint::new(settings(&service)).unwrap();
    let texts = texts(150);
    let made = endpoint.embed(&texts).await.unwrap();
    assert_eq!((made.vectors.len(), made.tokens), (150, 450));
    let meter = service.meter();
    assert_eq!(
        (meter.requests, meter.texts, meter.batch_most),
        (3, 150, 64)
    );
    let alone = endpoint.embed(&texts[100..101]).await.unwrap();
    assert_eq!(alone.vectors[0], made.vectors[100]);
    let length: f32 = alone.vectors[0].iter().map(|x| x * x).sum();
    assert!((length - 1.0).abs() < 1e-4, "{length}");
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_then_told_as_away() {
    let service = service(Options::default()).await;
    let endpoint = Endpoint::new(settings(&service)).unwrap();
    service.set(Mood::Down);
    let error = endpoint.embed(&texts(1)).await.unwrap_err();
    assert!(matches!(error, EmbedError::Away { .. }), "{error}");
    assert_eq!(service.meter().requests, 3);
    // An hour is longer than anybody waits here.
    service.set(Mood::Throttling);
    let error = endpoint.embed(&texts(1)).await.unwrap_err();
    assert!(matches!(error, EmbedError::Away { .. }), "{error}");
    assert_eq!(service.meter().requests, 4);
    service.set(Mood::Silent);
    let slow = EndpointSettings {
        timeout: Duration::from_millis(50),
        ..settings(&service)
    };
    let error = Endpoint::new(slow)
        .unwrap()
        .embed(&texts(1))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("timeout of 50 ms"), "{error}");
    assert_eq!(service.meter().requests, 7);
}

#[tokio::test]
async fn vectors_of_another_length_and_answers_without_any_are_configurations_fault() {
    let service = service(Options::default()).await;
    let endpoint = Endpoint::new(settings(&service)).unwrap();
    service.set(Mood::OtherDimensions);
    let error = endpoint.embed(&texts(1)).await.unwrap_err();
    assert!(matches!(error, EmbedError::Wrong { .. }), "{error}");
    assert!(
        error.to_string().contains("255 numbers instead of 256"),
        "{error}"
    );
    service.set(Mood::Portal);
    let error = endpoint.embed(&texts(1)).await.unwrap_err();
    assert!(matches!(error, EmbedError::Wrong { .. }), "{error}");
}

#[tokio::test]
async fn a_text_that_is_too_long_is_refused_and_a_key_is_never_repeated() {
    let options = Options {
        text_tokens_max: 10,
        key: Some("right".to_owned()),
        ..Options::default()
    };
    let service = service(options).await;
    let keyed = |key: &str| EndpointSettings {
        key: Some(Secret::new(key)),
        ..settings(&service)
    };
    let endpoint = Endpoint::new(keyed("right")).unwrap();
    let error = endpoint.embed(&["word ".repeat(11)]).await.unwrap_err();
    assert!(matches!(error, EmbedError::Refused { .. }), "{error}");
    assert!(
        error.to_string().contains("maximum context length"),
        "{error}"
    );
    let endpoint = Endpoint::new(keyed("wrong-secret")).unwrap();
    let error = endpoint.embed(&texts(1)).await.unwrap_err();
    assert!(matches!(error, EmbedError::Wrong { .. }), "{error}");
    assert!(
        !format!("{error} {error:?} {endpoint:?}").contains("wrong-secret"),
        "{error}"
    );
}
