//! The kinds of markers.

use fxprof_processed_profile::{
    CategoryHandle, MarkerFieldFlags, MarkerFieldFormat, Profile, StaticSchemaMarker, StaticSchemaMarkerField,
    StringHandle,
};

/// A store that lives at the end.
pub(super) struct Left {
    pub(super) name: StringHandle,
    pub(super) place: StringHandle,
    pub(super) kind: StringHandle,
    pub(super) holders: StringHandle,
    pub(super) bytes: f64,
}

const fn field(key: &'static str, label: &'static str, format: MarkerFieldFormat) -> StaticSchemaMarkerField {
    StaticSchemaMarkerField { key, label, format, flags: MarkerFieldFlags::SEARCHABLE }
}

impl StaticSchemaMarker for Left {
    const UNIQUE_MARKER_TYPE_NAME: &'static str = "offheap store";
    const DESCRIPTION: Option<&'static str> = Some("A store that lives at the end of the stream.");
    const CHART_LABEL: Option<&'static str> = Some("{marker.data.place}");
    const TABLE_LABEL: Option<&'static str> = Some("{marker.data.bytes} made at {marker.data.place}");
    const FIELDS: &'static [StaticSchemaMarkerField] = &[
        field("place", "Made at", MarkerFieldFormat::String),
        field("kind", "Kind", MarkerFieldFormat::String),
        field("holders", "Held by", MarkerFieldFormat::String),
        field("bytes", "Length", MarkerFieldFormat::Bytes),
    ];

    fn name(&self, _profile: &mut Profile) -> StringHandle {
        self.name
    }

    fn category(&self, _profile: &mut Profile) -> CategoryHandle {
        CategoryHandle::OTHER
    }

    fn string_field_value(&self, field: u32) -> StringHandle {
        [self.place, self.kind, self.holders][field as usize]
    }

    fn number_field_value(&self, _field: u32) -> f64 {
        self.bytes
    }
}

/// Something that was refused.
pub(super) struct Refusal {
    pub(super) name: StringHandle,
    pub(super) message: StringHandle,
}

impl StaticSchemaMarker for Refusal {
    const UNIQUE_MARKER_TYPE_NAME: &'static str = "offheap refused";
    const DESCRIPTION: Option<&'static str> = Some("A call that was refused, such as a second free.");
    const TABLE_LABEL: Option<&'static str> = Some("{marker.data.message}");
    const FIELDS: &'static [StaticSchemaMarkerField] = &[field("message", "What happened", MarkerFieldFormat::String)];

    fn name(&self, _profile: &mut Profile) -> StringHandle {
        self.name
    }

    fn category(&self, _profile: &mut Profile) -> CategoryHandle {
        CategoryHandle::OTHER
    }

    fn string_field_value(&self, _field: u32) -> StringHandle {
        self.message
    }

    fn number_field_value(&self, _field: u32) -> f64 {
        unreachable!("it has no number")
    }
}
