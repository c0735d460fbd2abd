package assets

import _ "embed"

// Reasons is the catalogue of reasons in TOML: for each name of the closed list
// what happened and what to do, in English and Japanese.
//
//go:embed texts/reasons.toml
var Reasons []byte
