//! How names and enums of lower layers look in the API's document.

use crate::ids::{Bay, Udid};
use crate::station::doctor::{Check, Health};
use crate::workflow::event::{StepId, StepResult};
use crate::workflow::outcome::{Class, Outcome};
use std::borrow::Cow;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

fn text(description: &str) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).description(Some(description)).build().into()
}

fn names<'a>(description: &str, names: impl IntoIterator<Item = &'a str>) -> RefOr<Schema> {
    let object = ObjectBuilder::new().schema_type(Type::String).description(Some(description));
    object.enum_values(Some(names.into_iter().map(str::to_owned))).build().into()
}

macro_rules! schema {
    ($type:ident, $name:literal, $schema:expr) => {
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                $schema
            }
        }

        impl ToSchema for $type {
            fn name() -> Cow<'static, str> {
                $name.into()
            }
        }
    };
}

schema!(Udid, "Udid", text("A device's UDID"));
schema!(Bay, "Bay", text("A bay: one physical USB port, by its name"));
schema!(Outcome, "Outcome", names("How a bay stands", Outcome::ALL.iter().map(|o| o.name())));
schema!(Class, "Class", names("Who must act", CLASSES.map(Class::name)));
schema!(Health, "Health", names("How a check came out", ["good", "warning", "bad"]));
schema!(StepId, "StepId", text("A step of an enrollment, such as `pair` or `install`"));
schema!(StepResult, "StepResult", names("How a step ended", ["done", "skipped", "warning", "failed"]));
schema!(Check, "Check", check());

const CLASSES: [Class; 7] = [
    Class::None,
    Class::Operator,
    Class::Device,
    Class::Transport,
    Class::Server,
    Class::Configuration,
    Class::Bug,
];

fn check() -> RefOr<Schema> {
    let maybe = ObjectBuilder::new().schema_type(SchemaType::from_iter([Type::String, Type::Null]));
    let object = ObjectBuilder::new()
        .description(Some("A check of this computer"))
        .property("check", text("What was checked"))
        .property("health", Ref::from_schema_name("Health"))
        .property("found", text("What was found"))
        .property("fix", maybe.description(Some("The exact fix, if something is wrong")));
    ["check", "health", "found", "fix"].into_iter().fold(object, ObjectBuilder::required).build().into()
}
