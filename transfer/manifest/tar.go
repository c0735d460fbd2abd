package manifest

import (
	"archive/tar"
	"bytes"
	"fmt"
)

// Block is the unit of a tar stream, in bytes.
const Block = 512

// Header returns the tar header of e: a function of e alone, so that a gate
// compares bytes and needs no tar parser. It is what Go's archive/tar writes in
// PAX format for the name, size and time of e, mode 0644 or 0755, and no owner.
// Its length is a multiple of Block.
func Header(e *Entry) ([]byte, error) {
	h := tar.Header{
		Typeflag: tar.TypeReg,
		Name:     string(e.Path),
		Size:     e.Size,
		Mode:     0o644,
		ModTime:  e.ModTime,
		Format:   tar.FormatPAX,
	}
	if e.Type == Folder {
		h.Typeflag, h.Name, h.Mode = tar.TypeDir, h.Name+"/", 0o755
	}
	var buf bytes.Buffer
	if err := tar.NewWriter(&buf).WriteHeader(&h); err != nil {
		return nil, fmt.Errorf("tar header of %.80q: %w", string(e.Path), err)
	}
	return buf.Bytes(), nil
}

// Padding is how many zero bytes follow size bytes of content.
func Padding(size int64) int64 { return (Block - size%Block) % Block }

// Trailer ends the tar stream, in the last part.
var Trailer = make([]byte, 2*Block)
