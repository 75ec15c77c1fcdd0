//! The part of a URL after `?`: known names only, each as often as it may come.

use std::str::FromStr;

use super::error::ApiError;

/// The most parameters of one request.
const PARAMS_MAX: usize = 200;

/// The parameters of a request, taken out one by one.
#[derive(Debug)]
pub struct Params {
    pairs: Vec<(String, String)>,
}

impl Params {
    /// Reads the text after `?`; every name must be one of `allowed`.
    ///
    /// # Errors
    ///
    /// An unknown name, or too many parameters.
    pub fn read(query: Option<&str>, allowed: &[&str]) -> Result<Self, ApiError> {
        let pairs: Vec<(String, String)> = form_urlencoded::parse(query.unwrap_or("").as_bytes())
            .into_owned()
            .take(PARAMS_MAX + 1)
            .collect();
        if pairs.len() > PARAMS_MAX {
            let message = format!("there are more than {PARAMS_MAX} parameters");
            return Err(ApiError::bad_request("bad_parameter", message));
        }
        match pairs
            .iter()
            .find(|(name, _)| !allowed.contains(&name.as_str()))
        {
            Some((name, _)) => Err(ApiError::bad_request(
                "unknown_parameter",
                format!("there is no parameter `{name}`"),
            )
            .hint(format!("allowed: {}", allowed.join(", ")))),
            None => Ok(Self { pairs }),
        }
    }

    /// Every value of `name`, in order.
    pub fn all(&self, name: &str) -> Vec<String> {
        let of_name = self.pairs.iter().filter(|(key, _)| key == name);
        of_name.map(|(_, value)| value.clone()).collect()
    }

    /// The value of `name`, which may come once.
    ///
    /// # Errors
    ///
    /// It comes more than once.
    pub fn one(&self, name: &str) -> Result<Option<String>, ApiError> {
        let mut values = self.all(name);
        match values.len() {
            0 | 1 => Ok(values.pop()),
            _ => Err(ApiError::bad_request(
                "bad_parameter",
                format!("`{name}` may be given once"),
            )),
        }
    }

    /// The value of `name`, read.
    ///
    /// # Errors
    ///
    /// It comes more than once, or is none; the message says why.
    pub fn parsed<T: FromStr<Err: std::fmt::Display>>(
        &self,
        name: &str,
    ) -> Result<Option<T>, ApiError> {
        self.one(name)?
            .map(|text| {
                text.parse().map_err(|error| {
                    ApiError::bad_request("bad_parameter", format!("`{name}`: {error}"))
                })
            })
            .transpose()
    }

    /// Whether `name` is set: `true`, `1` or nothing after the name.
    ///
    /// # Errors
    ///
    /// It comes more than once, or says something else.
    pub fn flag(&self, name: &str) -> Result<bool, ApiError> {
        match self.one(name)?.as_deref() {
            None | Some("false" | "0") => Ok(false),
            Some("" | "true" | "1") => Ok(true),
            Some(_) => Err(ApiError::bad_request(
                "bad_parameter",
                format!("`{name}` must be true or false"),
            )),
        }
    }

    /// The number `name`, from 1 to `most`.
    ///
    /// # Errors
    ///
    /// It is no such number.
    pub fn limit(&self, name: &str, default: i64, most: i64) -> Result<i64, ApiError> {
        match self.parsed::<i64>(name)? {
            None => Ok(default),
            Some(number) if (1..=most).contains(&number) => Ok(number),
            Some(_) => Err(ApiError::bad_request(
                "bad_parameter",
                format!("`{name}` must be from 1 to {most}"),
            )),
        }
    }
}
