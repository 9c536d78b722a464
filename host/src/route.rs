//! The route stage: which mapping and which destination an object goes to.
//!
//! Routes are tried in their order, and the first whose patterns fit counts. A route with a pattern for the bucket is for
//! objects in S3 only.

use serde_spanned::Spanned;

use crate::config::{Pattern, RouteConfig};
use crate::object::Object;

/// The routes, in their order.
pub struct Routes(Vec<Route>);

struct Route {
    bucket: Option<Pattern>,
    key: Option<Pattern>,
    goal: Goal,
}

/// Where a route leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Goal {
    /// Objects are left out, and counted.
    Skip,
    /// Objects are forwarded.
    Forward {
        /// The mapping's name, if the route says one.
        mapping: Option<String>,
        /// The destination's name, if the route says one.
        destination: Option<String>,
    },
}

/// A route that fits an object.
#[derive(Debug, PartialEq, Eq)]
pub struct Match {
    /// Where it leads.
    pub goal: Goal,
    /// What the key's pattern captured, in its order.
    pub captures: Vec<(String, String)>,
}

impl Routes {
    /// The routes of a config. Without any, every object takes the only way that there is.
    pub fn new(config: &[RouteConfig]) -> Self {
        if config.is_empty() {
            let goal = Goal::Forward { mapping: None, destination: None };
            return Self(vec![Route { bucket: None, key: None, goal }]);
        }
        Self(config.iter().map(Route::new).collect())
    }

    /// The first route that fits, if one does.
    pub fn find(&self, object: &Object) -> Option<Match> {
        self.0.iter().find_map(|route| route.fits(object))
    }
}

impl Route {
    fn new(config: &RouteConfig) -> Self {
        let name = |name: &Option<Spanned<String>>| name.as_ref().map(|name| name.get_ref().clone());
        Self {
            bucket: config.bucket.clone(),
            key: config.key.clone(),
            goal: match config.skip {
                true => Goal::Skip,
                false => Goal::Forward { mapping: name(&config.mapping), destination: name(&config.destination) },
            },
        }
    }

    fn fits(&self, object: &Object) -> Option<Match> {
        if let Some(pattern) = &self.bucket {
            pattern.captures(object.bucket.as_deref()?)?;
        }
        let captures = match &self.key {
            Some(pattern) => pattern.captures(&object.key)?,
            None => Vec::new(),
        };
        Some(Match { goal: self.goal.clone(), captures })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_route_that_fits_counts() {
        let route = |key: &str, goal: Goal| Route { bucket: None, key: Some(Pattern::new(key).unwrap()), goal };
        let to = |name: &str| Goal::Forward { mapping: Some(name.into()), destination: None };
        let routes = Routes(vec![route("a/{x}", to("first")), route("a/**", Goal::Skip), route("**", to("last"))]);
        let goal = |key: &str| routes.find(&Object::named(None, key)).unwrap().goal;
        assert_eq!(goal("a/b"), to("first"));
        assert_eq!(goal("a/b/c"), Goal::Skip);
        assert_eq!(goal("c"), to("last"));
    }

    #[test]
    fn a_route_with_a_bucket_is_for_objects_in_s3() {
        let route = Route { bucket: Some(Pattern::new("logs-*").unwrap()), key: None, goal: Goal::Skip };
        assert!(route.fits(&Object::named(Some("logs-a".into()), "k")).is_some());
        assert!(route.fits(&Object::named(Some("other".into()), "k")).is_none());
        assert!(route.fits(&Object::named(None, "k")).is_none());
    }
}
