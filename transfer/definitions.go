package transfer

import (
	"crypto/sha256"
	"fmt"

	"sekisho/scan"
	"sekisho/transfer/manifest"
)

// engines states what searched the files, for statement and receipt.
func engines(sets []scan.Definitions) []manifest.Engine {
	list := make([]manifest.Engine, len(sets))
	for i, d := range sets {
		list[i] = manifest.Engine{Name: d.Engine, Version: manifest.Text(d.Version, manifest.MaxText), Definitions: manifest.Hash(d.Digest),
			Newest: manifest.Timestamp(d.Newest), Demonstration: d.Demonstration}
	}
	return list
}

// listing names every definition file, for the details.
func listing(sets []scan.Definitions) []manifest.DefinitionFile {
	list := make([]manifest.DefinitionFile, 0)
	for _, d := range sets {
		for _, f := range d.Files {
			list = append(list, manifest.DefinitionFile{Engine: d.Engine, Name: manifest.Text(f.Name, manifest.MaxText), Size: f.Size,
				SHA256: manifest.Hash(f.SHA256), Time: manifest.Timestamp(f.Time)})
		}
	}
	return list
}

// definitionsDigest is one digest over all engines and what they know.
func definitionsDigest(sets []scan.Definitions) manifest.Hash {
	h := sha256.New()
	for _, d := range sets {
		fmt.Fprintf(h, "%q %q %x\n", d.Engine, d.Version, d.Digest)
	}
	return manifest.Hash(h.Sum(nil))
}
