package bagit_test

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"sekisho/transfer/manifest/bagit"
)

// The first names of each table are those of the public conformance suite
// (LibraryOfCongress/bagit-conformance-suite), whose bags of earlier versions
// are made here for version 1.0.
func TestAccepts(t *testing.T) {
	for name, change := range map[string]func(b bag){
		"basicBag":                   func(b bag) {},
		"minimal-bag":                func(b bag) { delete(b, "bag-info.txt"); delete(b, "tagmanifest-sha512.txt") },
		"basic-bag-sha256":           func(b bag) { delete(b, payloadManifest); sha256Only(b) },
		"bag-in-a-bag":               func(b bag) { nested(b) },
		"bag-with-space":             func(b bag) { add(b, "data/a name with spaces ", "data/a name with spaces ") },
		"bag-with-encoded-names":     func(b bag) { add(b, "data/名前/%E5.txt", "data/名前/%25E5.txt") },
		"bag-with-escapable-chars":   func(b bag) { add(b, "data/line\nfeed\rand 100%", "data/line%0Afeed%0Dand 100%25") },
		"duplicate-metadata-entries": func(b bag) { b["bag-info.txt"] += "Contact-Name: A\nContact-Name: B\n"; b.seal() },
		"uncommon-metadata-separators": func(b bag) {
			b["bag-info.txt"] = "External-Description:\ttabs and\n  continuation: lines\r\n\tof every\rkind: yes\n"
			b.seal()
		},
		"special-system-files":               func(b bag) { b[".DS_Store"], b["Thumbs.db"] = "x", "y" },
		"duplicate-file-with-different-case": func(b bag) { add(b, "data/BARE-filename", "data/BARE-filename") },

		"both manifests":         func(b bag) { b.list("manifest-sha256.txt", payloadOf(b)...); b.seal() },
		"both tag manifests":     func(b bag) { b.list("tagmanifest-sha256.txt", payloadManifest) },
		"empty payload":          func(b bag) { clearPayload(b) },
		"CR":                     func(b bag) { b["bagit.txt"] = strings.ReplaceAll(declared, "\n", "\r"); b.seal() },
		"CRLF":                   func(b bag) { b["bagit.txt"] = strings.ReplaceAll(declared, "\n", "\r\n"); b.seal() },
		"manifest in CRLF":       func(b bag) { b[payloadManifest] = strings.ReplaceAll(b[payloadManifest], "\n", "\r\n"); b.seal() },
		"capital digits":         func(b bag) { upper(b); b.seal() },
		"lower-case escape":      func(b bag) { add(b, "data/a\nb", "data/a%0ab") },
		"one space, many, a tab": func(b bag) { b[payloadManifest] = blanks(b[payloadManifest]); b.seal() },
		"tag file in a folder": func(b bag) {
			b["seal/evidence"] = "x"
			b.list("tagmanifest-sha512.txt", payloadManifest, "seal/evidence")
		},
		"unlisted tag file":     func(b bag) { b["notes.txt"] = "x" },
		"manifest of no effect": func(b bag) { b["tags/manifest-md5.txt"] = "of another bag" },
		"label of any case":     func(b bag) { b["bag-info.txt"] = "PAYLOAD-OXUM: 11.2\n"; b.seal() },
		"empty bag-info":        func(b bag) { b["bag-info.txt"] = ""; b.seal() },
		"oxum continued":        func(b bag) { b["bag-info.txt"] = "Payload-Oxum: 11.\n 2\n"; b.seal() },
		"tilde inside":          func(b bag) { add(b, "data/~root", "data/~root") },
		"dots inside":           func(b bag) { add(b, "data/..a/...", "data/..a/...") },
	} {
		t.Run(name, func(t *testing.T) {
			b := basic()
			change(b)
			fsys := b.fs()
			fsys["data"] = &fstest.MapFile{Mode: fs.ModeDir | 0o755}
			if err := bagit.Check(fsys); err != nil {
				t.Error(err)
			}
		})
	}
}
