package hostile

import (
	"archive/zip"
	"bytes"
	_ "embed"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"unicode/utf8"
)

// Made once by `7z a -pinvented` of a text file, the second with -mhe=on.
var (
	//go:embed testdata/encrypted.7z
	encrypted7z []byte
	//go:embed testdata/headers.7z
	headers7z []byte
)

// sjisName is 診断書.txt in Shift_JIS, which is not UTF-8.
const sjisName = "\x90\x66\x92\x66\x8f\x91.txt"

func archives() []sample {
	return []sample{
		{"zip", "archives/plain.zip", Clean, ByNobody, "an ordinary archive", built(func() ([]byte, error) {
			return zipped(entry{"readme.txt", []byte("nothing to see\n")})
		})},
		{"zip-bomb", "archives/bomb.zip", Unscannable, ByLimits, "a few KB that unpack to 64 GiB", built(bomb)},
		{"zip-encrypted", "archives/encrypted.zip", Unscannable, ByLimits, "encrypted (traditional PKWARE)", built(encryptedZip)},
		{"7z-encrypted", "archives/encrypted.7z", Unscannable, ByLimits, "encrypted, names readable", content(encrypted7z)},
		{"7z-encrypted-headers", "archives/headers.7z", Unscannable, ByLimits, "encrypted with its headers", content(headers7z)},
		{"zip-truncated", "archives/truncated.zip", Unscannable, ByLimits, "the second half is missing", built(truncatedZip)},
		{"zip-deep", "archives/deep.zip", Unscannable, ByLimits, "25 archives deep", built(func() ([]byte, error) {
			return nested("readme.txt", []byte("nothing to see\n"), 25)
		})},
		{"zip-many", "archives/many.zip", Unscannable, ByLimits, "12,000 entries", built(manyZip)},
	}
}

// entry is a member of an archive.
type entry struct {
	name string
	body []byte
}

// zipped returns an archive; a name that is not UTF-8 is stored as it is,
// without the flag for UTF-8, as old tools do.
func zipped(entries ...entry) ([]byte, error) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, e := range entries {
		method := zip.Deflate
		if len(e.body) < 64 { // nothing to gain, and 12,000 of them would take seconds
			method = zip.Store
		}
		w, err := z.CreateHeader(&zip.FileHeader{Name: e.name, Method: method, Modified: made, NonUTF8: !utf8.ValidString(e.name)})
		if err != nil {
			return nil, err
		}
		if _, err := w.Write(e.body); err != nil {
			return nil, err
		}
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// nested returns body in depth archives, one in the other.
func nested(name string, body []byte, depth int) ([]byte, error) {
	for d := depth; d > 0; d-- {
		var err error
		if body, err = zipped(entry{name, body}); err != nil {
			return nil, err
		}
		name = fmt.Sprintf("level%02d.zip", d)
	}
	return body, nil
}

// bomb returns 32 archives of 64 archives of 32 MiB of zeros. They are equal: an
// engine that remembers clean content across them would scan one of each.
func bomb() ([]byte, error) {
	body, err := zipped(entry{"zeros", make([]byte, 32<<20)})
	if err != nil {
		return nil, err
	}
	for _, width := range []int{64, 32} {
		entries := make([]entry, width)
		for i := range entries {
			entries[i] = entry{fmt.Sprintf("%02d.zip", i), body}
		}
		if body, err = zipped(entries...); err != nil {
			return nil, err
		}
	}
	return body, nil
}

func manyZip() ([]byte, error) {
	entries := make([]entry, 12000)
	for i := range entries {
		entries[i] = entry{fmt.Sprintf("%05d.txt", i), fmt.Appendf(nil, "entry %d\n", i)}
	}
	return zipped(entries...)
}

func truncatedZip() ([]byte, error) {
	b, err := zipped(entry{"scan.bin", noise(100 << 10)})
	return b[:len(b)/2], err
}

func encryptedZip() ([]byte, error) {
	body := []byte("invented content\n")
	sum := crc32.ChecksumIEEE(body)
	// The last byte of the 12 that come first lets a reader check the password.
	secret := encryptZIP("invented", append(append(noise(11), byte(sum>>24)), body...))
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.CreateRaw(&zip.FileHeader{Name: "secret.txt", Method: zip.Store, Flags: 1, ReaderVersion: 20, Modified: made, CRC32: sum,
		CompressedSize64: uint64(len(secret)), UncompressedSize64: uint64(len(body))})
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(secret); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// encryptZIP is the traditional encryption of PKWARE's APPNOTE 6.1, which is
// broken, and what most tools still call an encrypted zip.
func encryptZIP(password string, plain []byte) []byte {
	k0, k1, k2 := uint32(0x12345678), uint32(0x23456789), uint32(0x34567890)
	update := func(b byte) {
		k0 = crc32.IEEETable[byte(k0)^b] ^ k0>>8
		k1 = (k1+k0&0xff)*134775813 + 1
		k2 = crc32.IEEETable[byte(k2)^byte(k1>>24)] ^ k2>>8
	}
	for _, b := range []byte(password) {
		update(b)
	}
	out := make([]byte, len(plain))
	for i, b := range plain {
		t := k2&0xffff | 2
		out[i] = b ^ byte(t*(t^1)>>8)
		update(b)
	}
	return out
}

// noise returns n bytes that do not compress, the same each time.
func noise(n int) []byte {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}
