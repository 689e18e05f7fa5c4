//! x
pub const X: i32 = 1; //
