package manifest

import (
	"bytes"
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Where things are. A transfer's folder is on the drive and in the vault under
// its id; everything below has the same name in outbox, drive and vault.
const (
	Root      = "SEKISHO"             // nothing outside it is ever opened
	Transfers = Root + "/transfers"   // one folder per transfer
	Receipts  = Root + "/receipts"    // <transfer id>.dsse.json
	Trust     = Root + "/trust"       // enrolments, states and approvals on their way; no part of any transfer
	DriveFile = Root + "/drive.json"  // the drive's random id
	SealDir   = "seal"                // evidence and statement, in the transfer's folder
	Envelope  = "statement.dsse.json" // the statement in its DSSE envelope, in SealDir
	Data      = "data"                // the parts

	TagManifest = "tagmanifest-sha256.txt"
	Manifest    = "manifest-sha256.txt"
	Index       = "index.jsonl.age"
	FileSums    = "files.sha256.age"
	DetailsFile = "details.jsonl.age"
	Script      = "recover.sh"
	BagInfo     = "bag-info.txt"
	BagIt       = "bagit.txt"
)

// TagFiles are the files that the tag manifest lists, in its order.
var TagFiles = []string{BagInfo, BagIt, DetailsFile, FileSums, Index, Manifest, Script}

// Limits of a bag.
const (
	MaxParts    = 4096
	MaxPartSize = 4<<30 - 1 // bytes: a file on FAT32; so is an encrypted tag file
	MaxTagFile  = 4 << 20   // bytes of a tag file that is not encrypted
)

// BagItText is the whole of bagit.txt.
const BagItText = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"

// RecoverScript is recover.sh: the way back for a hospital that lost Sekisho.
//
//go:embed recover.sh
var RecoverScript []byte

// PartName is the name of part n, from 1, in the bag.
func PartName(n int) string { return fmt.Sprintf("%s/%06d.age", Data, n) }

// idTime is the time in a transfer's id, as package time words layouts.
const idTime = "20060102T1504Z"

// ID makes a transfer's id: time, kiosk and transfer number.
func ID(t time.Time, kiosk string, number int64) string {
	return fmt.Sprintf("%s-%s-%06d", t.UTC().Format(idTime), kiosk, number)
}

// ValidID says whether s has the form of a transfer's id.
func ValidID(s string) bool {
	t, rest, _ := strings.Cut(s, "-")
	if _, err := time.Parse(idTime, t); err != nil {
		return false
	}
	i := strings.LastIndexByte(rest, '-')
	if i < 0 || !ValidName(rest[:i]) {
		return false
	}
	n, err := strconv.ParseInt(rest[i+1:], 10, 64)
	return err == nil && n > 0 && fmt.Sprintf("%06d", n) == rest[i+1:]
}

// Info returns bag-info.txt. It holds nothing that the folder's name and the
// parts do not tell anyone who looks.
func Info(transfer string, prepared time.Time, parts int, bytes int64) []byte {
	return fmt.Appendf(nil, "Bag-Software-Agent: Sekisho\nBagging-Date: %s\nExternal-Identifier: %s\nPayload-Oxum: %d.%d\n",
		prepared.UTC().Format(time.DateOnly), transfer, bytes, parts)
}

// Sum is one line of a checksum list.
type Sum struct {
	Name   string
	SHA256 Hash
}

// MarshalSums writes a checksum list that `sha256sum -c` reads.
func MarshalSums(sums []Sum) []byte {
	var buf bytes.Buffer
	for _, s := range sums {
		fmt.Fprintf(&buf, "%s  %s\n", s.SHA256, s.Name)
	}
	return buf.Bytes()
}

// ParseSums reads a checksum list that must hold exactly the given names in
// that order, and returns their digests.
func ParseSums(data []byte, names []string) ([]Hash, error) {
	hashes := make([]Hash, 0, len(names))
	for _, name := range names {
		line, rest, ended := bytes.Cut(data, []byte("\n"))
		sum, got, _ := strings.Cut(string(line), "  ")
		h, err := ParseHash(sum)
		if err != nil || !ended || got != name {
			return nil, malformed("the line of %q in a checksum list is %.120q", name, line)
		}
		hashes = append(hashes, h)
		data = rest
	}
	if len(data) > 0 {
		return nil, malformed("a checksum list goes on with %.120q", data)
	}
	return hashes, nil
}

// PartNames are the names of n parts, in order.
func PartNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = PartName(i + 1)
	}
	return names
}

// FileSum is the line of a carried file in the list that recover.sh checks, in
// the form of GNU sha256sum: a name with a backslash or a line break is escaped
// and the line then begins with a backslash.
func FileSum(e *Entry) []byte {
	name := string(e.Path)
	mark := ""
	if strings.ContainsAny(name, "\\\n\r") {
		mark = `\`
		name = strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`).Replace(name)
	}
	return fmt.Appendf(nil, "%s%s  %s\n", mark, e.SHA256, "./"+name)
}
