//! Where calls may go: the base URL, and a resolver that keeps out of private networks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// The root below which all calls of an instance go.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    base: Url,
}

impl Address {
    /// Reads a base URL. A trailing slash does not matter.
    pub(crate) fn parse(text: &str, allow_private: bool) -> Result<Address, String> {
        let mut base = parse_target(text, allow_private)?;
        if base.query().is_some() || base.fragment().is_some() {
            return Err("must not have a query or a fragment".to_owned());
        }
        let path = base.path().trim_end_matches('/').to_owned();
        base.set_path(&path);
        Ok(Address { base })
    }

    /// The base URL without a trailing slash.
    pub(crate) fn as_str(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// The base URL itself.
    pub(crate) fn url(&self) -> Url {
        self.base.clone()
    }

    pub(crate) fn host(&self) -> &str {
        self.base.host_str().unwrap_or_default()
    }

    /// The URL of `path` with `query`. The path must stay below the base URL.
    pub(crate) fn join(&self, path: &str, query: &[(String, String)]) -> Result<Url, String> {
        let mut url = self.base.clone();
        let below = format!(
            "{}/{}",
            self.base.path().trim_end_matches('/'),
            path.trim_start_matches('/')
        );
        url.set_path(&below);
        let root = format!("{}/", self.base.path().trim_end_matches('/'));
        if !url.path().starts_with(&root) {
            return Err(format!("`{path}` leads out of the base URL"));
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }

    /// Where a redirect from `from` to `location` leads, if it stays on the same host.
    pub(crate) fn redirect(&self, from: &Url, location: &str) -> Option<Url> {
        let to = from.join(location).ok()?;
        let same_port = to.port_or_known_default() == from.port_or_known_default()
            && to.scheme() == from.scheme();
        let upgrade = from.scheme() == "http" && to.scheme() == "https";
        (to.host() == from.host() && (same_port || upgrade)).then_some(to)
    }

    /// `url` as the log shows it: relative to the base URL.
    pub(crate) fn relative<'u>(&self, url: &'u Url) -> &'u str {
        url.as_str()
            .strip_prefix(self.as_str())
            .unwrap_or(url.as_str())
    }
}

/// Reads a URL that may be called as it stands.
pub(crate) fn parse_target(text: &str, allow_private: bool) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("must begin with https:// or http://".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not carry a user or a password".to_owned());
    }
    if !allow_private {
        if url.scheme() == "http" {
            return Err(
                "plain http shows the credentials to everybody; allow private hosts if it is meant"
                    .to_owned(),
            );
        }
        if is_private_host(&url) {
            return Err("is a private address; allow private hosts if it is meant".to_owned());
        }
    }
    Ok(url)
}

fn is_private_host(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_end_matches('.');
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(address) => is_private(address),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

/// Whether an address is not on the public internet.
pub(crate) fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_private_v4(v4),
        IpAddr::V6(v6) => is_private_v6(v6),
    }
}

fn is_private_v4(v4: Ipv4Addr) -> bool {
    let [a, b, c, _] = v4.octets();
    v4.is_private()
        || v4.is_loopback()
        || v4.is_link_local()
        || v4.is_multicast()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (b == 18 || b == 19))
}

fn is_private_v6(v6: Ipv6Addr) -> bool {
    // Addresses that stand for an IPv4 address: mapped, compatible, and behind NAT64.
    let parts = v6.segments();
    let low = || {
        let [a, b] = parts[6].to_be_bytes();
        let [c, d] = parts[7].to_be_bytes();
        Ipv4Addr::new(a, b, c, d)
    };
    if let Some(v4) = v6.to_ipv4_mapped() {
        return is_private_v4(v4);
    }
    if parts[..6] == [0x64, 0xff9b, 0, 0, 0, 0] || parts[..6] == [0; 6] {
        return is_private_v4(low());
    }
    v6.is_multicast() || (parts[0] & 0xfe00) == 0xfc00 || (parts[0] & 0xffc0) == 0xfe80
}

/// Resolves names and leaves out what is private, so that a name cannot lead where an address may not.
pub(crate) struct PublicResolver;

/// A name had only private addresses.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` has only private addresses; allow private hosts if it is meant")]
pub(crate) struct OnlyPrivate(pub(crate) String);

impl Resolve for PublicResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> =
                found.filter(|address| !is_private(address.ip())).collect();
            if public.is_empty() {
                return Err(OnlyPrivate(name.as_str().to_owned()).into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(base: &str, path: &str) -> String {
        let query = [
            ("Page".to_owned(), "1".to_owned()),
            ("q".to_owned(), "a b&c".to_owned()),
        ];
        Address::parse(base, false)
            .unwrap()
            .join(path, &query)
            .unwrap()
            .to_string()
    }

    #[test]
    fn b137_slashes_and_paths_of_the_base_url_do_not_matter() {
        let expected = "https://x.com/api/v2/saleList?Page=1&q=a+b%26c";
        for base in [
            "https://x.com/api/v2",
            "https://x.com/api/v2/",
            "https://x.com/api/v2//",
        ] {
            assert_eq!(url(base, "saleList"), expected);
            assert_eq!(url(base, "/saleList"), expected);
        }
        assert_eq!(
            url("https://x.com", "a/b"),
            "https://x.com/a/b?Page=1&q=a+b%26c"
        );
        let address = Address::parse("https://x.com/api", false).unwrap();
        assert!(address.join("../admin", &[]).is_err());
        assert!(address.join("a/%2e%2e/%2e%2e/admin", &[]).is_err());
    }

    #[test]
    fn b137_private_and_odd_base_urls_are_refused() {
        for bad in [
            "https://127.0.0.1/x",
            "https://localhost",
            "https://a.localhost",
            "https://10.1.2.3",
            "https://[::1]:8443/x",
            "https://169.254.169.254/latest",
            "https://[::ffff:192.168.0.1]/",
            "https://[fd00::1]/",
            "https://0.0.0.0",
            "https://2130706433/",
            "http://example.com",
            "ftp://example.com",
            "https://u:p@example.com",
            "https://x.com/?a=1",
            "x.com",
        ] {
            assert!(Address::parse(bad, false).is_err(), "{bad}");
        }
        assert!(Address::parse("http://127.0.0.1:8080/v2", true).is_ok());
        assert!(Address::parse("https://8.8.8.8/v2", false).is_ok());
    }

    #[test]
    fn redirects_stay_on_the_host() {
        let address = Address::parse("https://x.com/api", false).unwrap();
        let from = address.join("a", &[]).unwrap();
        assert!(address.redirect(&from, "/other?x=1").is_some());
        assert!(address.redirect(&from, "https://evil.com/api/a").is_none());
        assert!(address.redirect(&from, "http://x.com/api/a").is_none());
        assert!(
            address
                .redirect(&from, "https://x.com:8443/api/a")
                .is_none()
        );
    }
}
