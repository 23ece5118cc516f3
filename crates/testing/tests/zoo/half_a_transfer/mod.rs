pub(crate) mod bug;
pub(crate) mod fixed;
pub(crate) mod world;

crate::entry!(invariant);
