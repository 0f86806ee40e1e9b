//! The sections a segment has.

/// What a section holds. The numbers are the ones in the file and are never used again for
/// something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub(crate) enum Kind {
    Namespaces = 1,
    Ids = 2,
    IdOffsets = 3,
    Seqs = 4,
    Vectors = 5,
    Metadata = 6,
    MetadataIndex = 7,
    Quantizer = 32,
    Codes = 33,
    Links = 34,
    Indexes = 35,
    UpperLayers = 36,
    Calibrations = 37,
    IdBloom = 38,
    IdHashes = 39,
    IdRows = 40,
    Fields = 41,
    Clusters = 42,
    ClusterBlocks = 43,
    Sketches = 44,
    SketchRows = 45,
    CoarseCodes = 46,
    Checksums = 64,
}

impl Kind {
    /// Above the number of every kind.
    pub(crate) const NUMBERS: usize = 65;

    pub(crate) const ALL: [Kind; 23] = [
        Kind::Namespaces,
        Kind::Ids,
        Kind::IdOffsets,
        Kind::Seqs,
        Kind::Vectors,
        Kind::Metadata,
        Kind::MetadataIndex,
        Kind::Quantizer,
        Kind::Codes,
        Kind::Links,
        Kind::Indexes,
        Kind::UpperLayers,
        Kind::Calibrations,
        Kind::IdBloom,
        Kind::IdHashes,
        Kind::IdRows,
        Kind::Fields,
        Kind::Clusters,
        Kind::ClusterBlocks,
        Kind::Sketches,
        Kind::SketchRows,
        Kind::CoarseCodes,
        Kind::Checksums,
    ];

    pub(crate) fn from_number(number: u32) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| *kind as u32 == number)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Namespaces => "namespaces",
            Kind::Ids => "ids",
            Kind::IdOffsets => "id-offsets",
            Kind::Seqs => "seqs",
            Kind::Vectors => "vectors",
            Kind::Metadata => "metadata",
            Kind::MetadataIndex => "metadata-index",
            Kind::Quantizer => "quantizer",
            Kind::Codes => "codes",
            Kind::Links => "links",
            Kind::Indexes => "indexes",
            Kind::UpperLayers => "upper-layers",
            Kind::Calibrations => "calibrations",
            Kind::IdBloom => "id-bloom",
            Kind::IdHashes => "id-hashes",
            Kind::IdRows => "id-rows",
            Kind::Fields => "fields",
            Kind::Clusters => "clusters",
            Kind::ClusterBlocks => "cluster-blocks",
            Kind::Sketches => "sketches",
            Kind::SketchRows => "sketch-rows",
            Kind::CoarseCodes => "coarse-codes",
            Kind::Checksums => "checksums",
        }
    }

    /// Whether the section can be made again from the truth sections.
    pub(crate) fn is_derived(self) -> bool {
        matches!(
            self,
            Kind::Quantizer
                | Kind::Codes
                | Kind::Links
                | Kind::Indexes
                | Kind::UpperLayers
                | Kind::Calibrations
                | Kind::IdBloom
                | Kind::IdHashes
                | Kind::IdRows
                | Kind::Fields
                | Kind::Clusters
                | Kind::ClusterBlocks
                | Kind::Sketches
                | Kind::SketchRows
                | Kind::CoarseCodes
        )
    }

    /// Where the section may begin: the large arrays at a page, the rest at a cache line.
    pub(crate) fn alignment(self) -> u64 {
        match self {
            Kind::Vectors
            | Kind::Codes
            | Kind::Links
            | Kind::ClusterBlocks
            | Kind::SketchRows
            | Kind::CoarseCodes => 4096,
            _ => 64,
        }
    }
}
