//! Shares of right answers, how sure they are, and whether two models differ.
