package bagit_test

import (
	"errors"
	"strings"
	"testing"

	"sekisho/transfer/manifest/bagit"
)

func TestRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		want   string // in the error
		change func(b bag)
	}{
		"baginfo-missing-encoding":      {"declaration", declare("BagIt-Version: 1.0\n")},
		"bom-in-bagit.txt":              {"byte order mark", declare("\ufeff" + declared)},
		"corrupt-data-file":             {`"data/bare-filename" is not what`, func(b bag) { b["data/bare-filename"] = "bear\n" }},
		"corrupt-tag-file":              {`"bag-info.txt" is not what`, func(b bag) { b["bag-info.txt"] = "Contact-Name: Someone\n" }},
		"extra-file-in-bag":             {`does not list "data/bar"`, func(b bag) { b["data/bar"] = "x" }},
		"invalid-version-number":        {"declaration", declare("BagIt-Version: .97\nTag-File-Character-Encoding: UTF-8\n")},
		"missing-baginfo":               {"bag-info.txt", func(b bag) { delete(b, "bag-info.txt") }},
		"missing-bagit.txt":             {"no bagit.txt", func(b bag) { delete(b, "bagit.txt") }},
		"missing-from-manifest":         {`does not list "data/missing`, func(b bag) { b["data/missingFromManifest.txt"] = "" }},
		"missing-from-one-manifest":     {`manifest-sha256.txt does not list "data/bare`, func(b bag) { b.list("manifest-sha256.txt", payloadOf(b)[1]); b.seal() }},
		"bagit-with-invalid-whitespace": {"declaration", declare("BagIt-Version : 1.0\nTag-File-Character-Encoding : UTF-8\n")},
		"listed-twice-other-hashes":     {"listed twice", func(b bag) { b[payloadManifest] += strings.Repeat("ab", 64) + "  data/bare-filename\n"; b.seal() }},
		"listed-twice-same-hash":        {"listed twice", func(b bag) { b[payloadManifest] += strings.SplitAfter(b[payloadManifest], "\n")[0]; b.seal() }},
		"listed-twice-other-normal":     {"listed twice", func(b bag) { b["data/か\u3099"] = ""; relistAs(b, "data/か\u3099", "data/が", "data/か\u3099") }},
		"leading-dot-slash":             {"shortest form", func(b bag) { relistAs(b, "data/bare-filename", "./data/bare-filename") }},
		"relative-path":                 {"shortest form", func(b bag) { relistAs(b, "data/bare-filename", "data/folder/../bare-filename") }},
		"made-with-md5sum-tools": {"not in data", func(b bag) {
			b[payloadManifest] = strings.ReplaceAll(b[payloadManifest], "  data", " *./data")
			b.seal()
		}},
		"out-of-scope-dot-notation":    {"leads elsewhere", func(b bag) { relistAs(b, "data/bare-filename", "../README.md") }},
		"out-of-scope-hidden-dots":     {"leads elsewhere", func(b bag) { relistAs(b, "data/bare-filename", "data/../../README.md") }},
		"out-of-scope-absolute":        {"leads elsewhere", func(b bag) { relistAs(b, "data/bare-filename", "/tmp/foo") }},
		"out-of-scope-username":        {"leads elsewhere", func(b bag) { relistAs(b, "data/bare-filename", "~root/foo") }},
		"out-of-scope-shortcut":        {"leads elsewhere", func(b bag) { relistAs(b, "data/bare-filename", "~/foo") }},
		"out-of-scope-drive-letter":    {"leads elsewhere", func(b bag) { relistAs(b, "data/bare-filename", `C:\Windows\System32\setx.exe`) }},
		"out-of-scope-unc":             {"leads elsewhere", func(b bag) { relistAs(b, "data/bare-filename", `\\UNC\server\setx.exe`) }},
		"out-of-scope-variable":        {"not to be encoded", func(b bag) { relistAs(b, "data/bare-filename", `%HomeDrive%\setx.exe`) }},
		"for-fetch":                    {"fetch.txt", func(b bag) { b["fetch.txt"] = "https://192.0.2.1/foo - data/bare-filename\n" }},
		"holey-bag":                    {"fetch.txt", func(b bag) { delete(b, "data/bare-filename"); b["fetch.txt"] = "x" }},
		"UTF-16-encoded-tag-files":     {"declaration", declare("BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-16\n")},
		"ISO-8859-1-encoded-tag-files": {"declaration", declare("BagIt-Version: 1.0\nTag-File-Character-Encoding: ISO-8859-1\n")},
		"basic-bag-md5":                {`unknown algorithm "md5"`, func(b bag) { b["manifest-md5.txt"] = "" }},
		"basic-bag-sha1":               {`unknown algorithm "sha1"`, func(b bag) { b["manifest-sha1.txt"] = "" }},
		"basic-bag-sha224":             {`unknown algorithm "sha224"`, func(b bag) { b["tagmanifest-sha224.txt"] = "" }},

		"algorithm in capitals":      {"unknown algorithm", func(b bag) { b["manifest-SHA256.txt"] = "" }},
		"nothing":                    {"no folder data/", func(b bag) { clear(b) }},
		"no payload folder":          {"no folder data/", func(b bag) { delete(b, "data/bare-filename"); delete(b, "data/folder/text file 本") }},
		"payload folder is a file":   {"no folder data/", func(b bag) { clearPayload(b); b["data"] = "" }},
		"no payload manifest":        {"no payload manifest", func(b bag) { delete(b, payloadManifest); b.seal() }},
		"listed, not there":          {"is not there", func(b bag) { delete(b, "data/bare-filename") }},
		"empty line in bagit.txt":    {"declaration", declare("\n" + declared)},
		"third line":                 {"declaration", declare(declared + "Comment: none\n")},
		"lines swapped":              {"declaration", declare("Tag-File-Character-Encoding: UTF-8\nBagIt-Version: 1.0\n")},
		"space at a line's end":      {"declaration", declare("BagIt-Version: 1.0 \nTag-File-Character-Encoding: UTF-8\n")},
		"two spaces":                 {"declaration", declare("BagIt-Version:  1.0\nTag-File-Character-Encoding: UTF-8\n")},
		"version 0.97":               {"declaration", declare("BagIt-Version: 0.97\nTag-File-Character-Encoding: UTF-8\n")},
		"version 1.1":                {"declaration", declare("BagIt-Version: 1.1\nTag-File-Character-Encoding: UTF-8\n")},
		"empty bagit.txt":            {"declaration", declare("")},
		"label in other case":        {"declaration", declare("bagit-version: 1.0\nTag-File-Character-Encoding: UTF-8\n")},
		"unended bagit.txt":          {"no end", declare(strings.TrimSuffix(declared, "\n"))},
		"unended manifest":           {"no end", func(b bag) { b[payloadManifest] = strings.TrimSuffix(b[payloadManifest], "\n"); b.seal() }},
		"manifest in UTF-16":         {"not UTF-8", func(b bag) { b[payloadManifest] = "\xff\xfea\x00"; b.seal() }},
		"manifest with a BOM":        {"byte order mark", func(b bag) { b[payloadManifest] = "\ufeff" + b[payloadManifest]; b.seal() }},
		"empty line":                 {"not a checksum and a path", func(b bag) { b[payloadManifest] += "\n"; b.seal() }},
		"comment":                    {"no checksum", func(b bag) { b[payloadManifest] += "# made by hand\n"; b.seal() }},
		"checksum alone":             {"not a checksum and a path", func(b bag) { b[payloadManifest] += strings.Repeat("0", 128) + "\n"; b.seal() }},
		"checksum and blanks":        {"leads elsewhere", func(b bag) { b[payloadManifest] += strings.Repeat("0", 128) + "  \n"; b.seal() }},
		"leading space":              {"not a checksum and a path", func(b bag) { b[payloadManifest] = " " + b[payloadManifest]; b.seal() }},
		"checksum of another length": {"no checksum", func(b bag) { b[payloadManifest] += strings.Repeat("0", 64) + "  data/x\n"; b.seal() }},
		"checksum not hex":           {"no checksum", func(b bag) { b[payloadManifest] += strings.Repeat("g", 128) + "  data/x\n"; b.seal() }},
		"tag file in a manifest":     {"not in data/", func(b bag) { b[payloadManifest] += b.line(payloadManifest, "bag-info.txt", "bag-info.txt"); b.seal() }},
		"folder in a manifest":       {"not there", func(b bag) { b[payloadManifest] += b.line(payloadManifest, "", "data/folder"); b.seal() }},
		"folder with slash":          {"shortest form", func(b bag) { b[payloadManifest] += b.line(payloadManifest, "", "data/folder/"); b.seal() }},
		"payload folder listed":      {"not in data/", func(b bag) { b[payloadManifest] += b.line(payloadManifest, "", "data"); b.seal() }},
		"double slash":               {"shortest form", func(b bag) { relistAs(b, "data/bare-filename", "data//bare-filename") }},
		"parent itself":              {"leads elsewhere", func(b bag) { b["tagmanifest-sha512.txt"] += b.line("", "", "..") }},
		"tag manifest leads out":     {"leads elsewhere", func(b bag) { b["tagmanifest-sha512.txt"] += b.line("", "", "../seal") }},
		"percent at the end":         {"percent sign", func(b bag) { add(b, "data/100%", "data/100%") }},
		"percent not encoded":        {"not to be encoded", func(b bag) { add(b, "data/%20", "data/%20") }},
		"encoded for no reason":      {"not to be encoded", func(b bag) { add(b, "data/a b", "data/a%20b") }},
		"encoded twice":              {`lists "data/a%0Ab", which is not there`, func(b bag) { add(b, "data/a\nb", "data/a%250Ab") }},
		"other normal form on disk":  {"not there", func(b bag) { add(b, "data/か\u3099", "data/が") }},
		"two normal forms on disk":   {"other normal forms", func(b bag) { b["data/か\u3099"], b["data/が"] = "", "" }},
		"manifests disagree":         {"data/bare-filename\" is not what manifest-sha256", func(b bag) { disagree(b) }},
		"tag manifest lists payload": {"of the payload", func(b bag) { b["tagmanifest-sha512.txt"] += b.line("", "data/bare-filename", "data/bare-filename") }},
		"tag manifest lists data":    {"of the payload", func(b bag) { b["tagmanifest-sha512.txt"] += b.line("", "", "data") }},
		"tag manifest lists itself":  {"lists the tag manifest", func(b bag) { b["tagmanifest-sha512.txt"] += b.line("", "", "tagmanifest-sha512.txt") }},
		"tag manifest lists another": {"lists the tag manifest", func(b bag) {
			b["tagmanifest-sha256.txt"] = ""
			b.list("tagmanifest-sha512.txt", "tagmanifest-sha256.txt")
		}},
		"tag manifest lacks one":   {`does not list "manifest-sha512.txt"`, func(b bag) { b.list("tagmanifest-sha512.txt", "bagit.txt") }},
		"missing tag file":         {`lists "notes.txt", which is not there`, func(b bag) { b["tagmanifest-sha512.txt"] += b.line("", "", "notes.txt") }},
		"oxum, other octets":       {"Payload-Oxum", info("Payload-Oxum: 12.2\n")},
		"oxum, other files":        {"Payload-Oxum", info("Payload-Oxum: 11.3\n")},
		"oxum, no number":          {"Payload-Oxum", info("Payload-Oxum: many\n")},
		"oxum, a zero before":      {"Payload-Oxum", info("Payload-Oxum: 011.2\n")},
		"oxum twice":               {"2 times", info("Payload-Oxum: 11.2\nPayload-Oxum: 11.2\n")},
		"info without label":       {"label and a value", info(": value\n")},
		"info without colon":       {"label and a value", info("Contact-Name\n")},
		"info without a blank":     {"label and a value", info("Contact-Name:A\n")},
		"info without value":       {"label and a value", info("Contact-Name:\n")},
		"info, blank before colon": {"label and a value", info("Contact-Name : A\n")},
		"info begins continued":    {"continuation", info("  of nothing\n")},
		"info, empty line":         {"label and a value", info("Contact-Name: A\n\n")},
		"info in another encoding": {"not UTF-8", info("Contact-Name: \x8e\xd0\n")},
	} {
		t.Run(name, func(t *testing.T) {
			b := basic()
			c.change(b)
			err := bagit.Check(b.fs())
			if !errors.Is(err, bagit.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
