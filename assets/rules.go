package assets

import "embed"

// Rules is the project's own set for package scan: clamav/ for clamd,
// yara/any/ for every file, yara/executable/ for files that begin as a program.
// The ClamAV half is a demonstration: it knows the usual test files only.
//
//go:embed clamav yara
var Rules embed.FS
