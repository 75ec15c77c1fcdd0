//! Certificates: trusted ones are, others stop the call at once.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use upstream::*;

use crate::server::*;

/// A TLS server for `names`, and its authority's certificate as PEM.
async fn tls_server(names: &[&str]) -> (SocketAddr, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let certificate = CertificateParams::new(names)
        .unwrap()
        .signed_by(&key, &authority)
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")
                .await;
            let _ = stream.shutdown().await;
        }
    });
    (address, authority.pem())
}

async fn call(address: SocketAddr, authority: Option<String>) -> (Result<Answer, CallError>, Rig) {
    let change = |settings: &mut Settings| {
        settings.base_url = Some(format!("https://{address}/"));
        settings.root_certificates = authority.map(String::into_bytes).into_iter().collect();
    };
    let rig = rig_with(vec![Reply::ok("{}")], CONNECTOR, 1, change, None).await;
    (read(&rig).await, rig)
}

#[tokio::test]
async fn a_certificate_of_a_trusted_authority_is_accepted() {
    let (address, authority) = tls_server(&["127.0.0.1"]).await;
    let (answer, _) = call(address, Some(authority)).await;
    assert_eq!(answer.unwrap().body, "{}");
}

#[tokio::test]
async fn b97_a_certificate_that_is_not_trusted_stops_the_call_at_once() {
    let (address, _) = tls_server(&["127.0.0.1"]).await;
    let (other, authority) = tls_server(&["somebody.example"]).await;
    for (address, authority) in [(address, None), (other, Some(authority))] {
        let (answer, rig) = call(address, authority).await;
        let error = answer.unwrap_err();
        assert!(matches!(error, CallError::Certificate { .. }), "{error:?}");
        assert!(!error.is_transient());
        assert!(rig.clock.sleeps().is_empty(), "it is not asked again");
    }
}
