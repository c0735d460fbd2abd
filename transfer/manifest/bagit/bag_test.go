package bagit_test

import (
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"strings"
	"testing/fstest"
)

// bag is the files of a bag, by path.
type bag map[string]string

const declared = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"

// basic is a valid bag: two payload files, one in a folder, and both manifests.
func basic() bag {
	b := bag{
		"bagit.txt":               declared,
		"bag-info.txt":            "Source-Organization: Invented Hospital\nPayload-Oxum: 11.2\n",
		"data/bare-filename":      "bare\n",
		"data/folder/text file 本": "inside",
	}
	return b.list("manifest-sha512.txt", "data/bare-filename", "data/folder/text file 本").
		list("tagmanifest-sha512.txt", "bag-info.txt", "bagit.txt", "manifest-sha512.txt")
}

// list writes a manifest with the true sums of the named files.
func (b bag) list(manifest string, names ...string) bag {
	var text strings.Builder
	for _, name := range names {
		text.WriteString(b.line(manifest, name, name))
	}
	b[manifest] = text.String()
	return b
}

// line is a manifest's line for the file name, listed as listed.
func (b bag) line(manifest, name, listed string) string {
	if strings.Contains(manifest, "sha256") {
		return fmt.Sprintf("%x  %s\n", sha256.Sum256([]byte(b[name])), listed)
	}
	return fmt.Sprintf("%x  %s\n", sha512.Sum512([]byte(b[name])), listed)
}

// seal makes the tag manifest anew, so that a test's own fault is the only one.
func (b bag) seal() bag {
	names := []string{"bagit.txt"}
	for _, name := range []string{"bag-info.txt", "manifest-sha256.txt", "manifest-sha512.txt"} {
		if _, ok := b[name]; ok {
			names = append(names, name)
		}
	}
	return b.list("tagmanifest-sha512.txt", names...)
}

func (b bag) fs() fstest.MapFS {
	m := make(fstest.MapFS)
	for name, text := range b {
		m[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return m
}

const payloadManifest = "manifest-sha512.txt"

func payloadOf(bag) []string { return []string{"data/bare-filename", "data/folder/text file 本"} }

func sha256Only(b bag) {
	delete(b, "tagmanifest-sha512.txt")
	b.list("manifest-sha256.txt", payloadOf(b)...).list("tagmanifest-sha256.txt", "bagit.txt", "bag-info.txt", "manifest-sha256.txt")
}

// nested puts a whole bag into the payload.
func nested(b bag) {
	names := payloadOf(b)
	for name, text := range basic() {
		b["data/inner/"+name] = text
		names = append(names, "data/inner/"+name)
	}
	delete(b, "bag-info.txt")
	b.list(payloadManifest, names...).seal()
}

// add puts an empty file into the payload and lists it as listed.
func add(b bag, name, listed string) {
	b[name] = ""
	delete(b, "bag-info.txt")
	b[payloadManifest] += b.line(payloadManifest, name, listed)
	b.seal()
}

func clearPayload(b bag) {
	for _, name := range payloadOf(b) {
		delete(b, name)
	}
	delete(b, "bag-info.txt")
	b.list(payloadManifest).seal()
}

func upper(b bag) {
	var text strings.Builder
	for line := range strings.Lines(b[payloadManifest]) {
		text.WriteString(strings.ToUpper(line[:128]) + line[128:])
	}
	b[payloadManifest] = text.String()
}

// blanks separates sums and paths in all ways that are allowed.
func blanks(text string) string {
	lines := strings.SplitAfter(text, "\n")
	return strings.Replace(lines[0], "  ", " ", 1) + strings.Replace(lines[1], "  ", "\t  \t", 1)
}

func declare(text string) func(bag) {
	return func(b bag) { b["bagit.txt"] = text; b.seal() }
}

func info(text string) func(bag) {
	return func(b bag) { b["bag-info.txt"] = text; b.seal() }
}

// relistAs lists the file name under other paths, with its true sum.
func relistAs(b bag, name string, listed ...string) {
	b.list(payloadManifest, payloadOf(b)[1])
	for _, l := range listed {
		b[payloadManifest] += b.line(payloadManifest, name, l)
	}
	b.seal()
}

// disagree lets one of two manifests lie.
func disagree(b bag) {
	b.list("manifest-sha256.txt", payloadOf(b)...)
	b["manifest-sha256.txt"] = strings.Repeat("0", 64) + b["manifest-sha256.txt"][64:]
	b.seal()
}
