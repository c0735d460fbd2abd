package transfer

import (
	"bytes"
	"io"
	"strings"
	"time"

	"sekisho/transfer/manifest"
)

// The two files of a recovery check are JSON Lines, each line in one canonical
// form: a head, for each generation its lines, an end that counts them. A file
// that was cut off has no end.
//
//	{"format":"sekisho-recovery-headers/1","gate":…,"time":…}
//	{"generation":…,"recovery":…,"files":N}
//	{"file":…,"sha256":…,"header":…}                             N times
//	{"end":"headers","generations":…,"files":…}
//
//	{"format":"sekisho-recovery-result/1","gate":…,"time":…}
//	{"generation":…,"recovery":…,"opened":…,"failed":[…],"proof":…}
//	{"end":"result","generations":…,"opened":…,"failed":…,"skipped":…,"proof":…}
const (
	headersFormat = "sekisho-recovery-headers/1"
	resultFormat  = "sekisho-recovery-result/1"
	maxHeader     = 16 << 10 // bytes of an age header; one of two hybrid stanzas has 3,200
	maxCheckLine  = 1 << 20  // bytes; a generation may name every one of its files
	maxHeaderLine = 4 * maxHeader
)

type checkHead struct {
	Format string    `json:"format"`
	Gate   string    `json:"gate"`
	Time   time.Time `json:"time"` // UTC, whole seconds
}

// headersOf begins the headers of one generation.
type headersOf struct {
	Generation string        `json:"generation"`
	Recovery   manifest.Hash `json:"recovery"` // digest of the recipient that it was encrypted to
	Files      int           `json:"files"`
}

type headerLine struct {
	File   string        `json:"file"`
	SHA256 manifest.Hash `json:"sha256"` // of the header
	Header string        `json:"header"` // age's, up to its MAC
}

type headersEnd struct {
	End         string `json:"end"` // "headers"
	Generations int    `json:"generations"`
	Files       int    `json:"files"`
}

// resultOf is what trying the recovery key on one generation gave.
type resultOf struct {
	Generation string        `json:"generation"`
	Recovery   manifest.Hash `json:"recovery"`
	Opened     int           `json:"opened"`
	Failed     []string      `json:"failed"` // the files whose headers it did not open
	Proof      manifest.Hash `json:"proof"`  // SHA-256 over the proofs of the opened, in order
}

type resultEnd struct {
	End         string        `json:"end"` // "result"
	Generations int           `json:"generations"`
	Opened      int           `json:"opened"`
	Failed      int           `json:"failed"`
	Skipped     int           `json:"skipped"` // generations made for another recovery key
	Proof       manifest.Hash `json:"proof"`   // SHA-256 over the proofs of the generations, in order
}

// readHeaders reads a file of headers, calling begin with its head, and each for
// every generation and header in turn; header is nil where a generation begins.
func readHeaders(r io.Reader, begin func(checkHead), each func(*headersOf, *headerLine) error) error {
	l := newLineReader(r, maxHeaderLine)
	head, err := l.head(headersFormat)
	if err != nil {
		return err
	}
	begin(head)
	var generations, files int
	for {
		line, err := l.next()
		if err != nil {
			return err
		}
		if !bytes.HasPrefix(line, []byte(`{"generation":`)) {
			var end headersEnd
			if err := l.parse(line, &end); err != nil {
				return err
			}
			if end != (headersEnd{"headers", generations, files}) {
				return l.wrong("it does not count what came before")
			}
			return l.ended()
		}
		g := new(headersOf)
		if err = l.parse(line, g); err == nil && (!manifest.ValidID(g.Generation) || g.Files < 1) {
			err = l.wrong(notCanonical)
		}
		if err == nil {
			err = each(g, nil)
		}
		for i := 0; err == nil && i < g.Files; i++ {
			h := new(headerLine)
			if err = l.read(h); err == nil && (!validObject(h.File) || len(h.Header) > maxHeader) {
				err = l.wrong(notCanonical)
			}
			if err == nil {
				err = each(g, h)
			}
		}
		if err != nil {
			return err
		}
		generations, files = generations+1, files+g.Files
	}
}

// readResult reads a result, calling each for every generation.
func readResult(r io.Reader, each func(*resultOf) error) (head checkHead, end resultEnd, err error) {
	l := newLineReader(r, maxCheckLine)
	if head, err = l.head(resultFormat); err != nil {
		return checkHead{}, resultEnd{}, err
	}
	count, total := resultEnd{End: "result"}, newFold()
	for {
		line, err := l.next()
		if err != nil {
			return checkHead{}, resultEnd{}, err
		}
		if !bytes.HasPrefix(line, []byte(`{"generation":`)) {
			err := l.parse(line, &end)
			count.Skipped, count.Proof = end.Skipped, total.sum()
			if err == nil && (end != count || end.Skipped < 0) {
				err = l.wrong("it does not count what came before")
			}
			if err == nil {
				err = l.ended()
			}
			if err != nil {
				return checkHead{}, resultEnd{}, err
			}
			return head, end, nil
		}
		g := new(resultOf)
		if err = l.parse(line, g); err == nil && (!manifest.ValidID(g.Generation) || g.Opened < 0 || g.Failed == nil || !validObjects(g.Failed)) {
			err = l.wrong(notCanonical)
		}
		if err == nil {
			err = each(g)
		}
		if err != nil {
			return checkHead{}, resultEnd{}, err
		}
		total.add(g.Proof)
		count.Generations, count.Opened, count.Failed = count.Generations+1, count.Opened+g.Opened, count.Failed+len(g.Failed)
	}
}

// validObject says whether name is that of an encrypted object of a bag.
func validObject(name string) bool {
	return strings.HasSuffix(name, ".age") && len(name) <= 64 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789./") == ""
}

func validObjects(names []string) bool {
	for _, n := range names {
		if !validObject(n) {
			return false
		}
	}
	return true
}
