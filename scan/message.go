package scan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// Parent and worker talk JSON over a unix socket that keeps message borders,
// one message at a time, each at most messageSize bytes, a request with at
// most one descriptor beside it.
const (
	messageSize = 64 << 10
	maxNames    = 32  // findings reported per blob; more say nothing new
	maxName     = 256 // bytes of a finding's name
	maxText     = 1024
)

// Operations a parent asks for.
const (
	opRules  = "rules"  // descriptor: the rules as JSON; answered by ready or refused
	opScan   = "scan"   // descriptor: the content; without one: to be asked for in windows
	opWindow = "window" // descriptor: the part asked for
)

// request is what the parent sends.
type request struct {
	Op         string `json:"op"`
	Size       int64  `json:"size,omitempty"`       // bytes of the content
	Executable bool   `json:"executable,omitempty"` // run the rules for executables, too
	Seconds    int64  `json:"seconds,omitempty"`    // time limit of the scan
}

// Kinds of answer.
const (
	kindReady   = "ready"   // Text: the library's version
	kindRefused = "refused" // Text: why the worker does not start
	kindMatches = "matches" // Names: what matched, possibly nothing
	kindFailed  = "failed"  // Text: why this content could not be searched
	kindWindow  = "window"  // Offset, Length: wanted next
)

// answer is what the worker sends. The parent takes it for hostile: the worker
// has read hostile content.
type answer struct {
	Kind   string   `json:"kind"`
	Names  []string `json:"names,omitempty"`
	Text   string   `json:"text,omitempty"`
	Offset int64    `json:"offset,omitempty"`
	Length int64    `json:"length,omitempty"`
}

func (a answer) marshal() []byte {
	b, err := json.Marshal(a)
	if err != nil {
		panic(err) // strings and numbers always marshal
	}
	return b
}

// parseAnswer accepts exactly what marshal makes of a valid answer.
func parseAnswer(data []byte) (answer, error) {
	var a answer
	if len(data) > messageSize {
		return answer{}, errors.New("parsing a worker's answer: too long")
	}
	if err := json.Unmarshal(data, &a); err != nil {
		return answer{}, fmt.Errorf("parsing a worker's answer: %w", err)
	}
	if !bytes.Equal(a.marshal(), data) || !a.valid() {
		return answer{}, errors.New("parsing a worker's answer: not as a worker writes it")
	}
	return a, nil
}

func (a answer) valid() bool {
	names, text, window := len(a.Names) > 0, a.Text != "", a.Offset != 0 || a.Length != 0
	switch a.Kind {
	case kindReady, kindRefused, kindFailed:
		return !names && text && !window && printable(a.Text, maxText)
	case kindMatches:
		return !text && !window && len(a.Names) <= maxNames &&
			!slices.ContainsFunc(a.Names, func(n string) bool { return n == "" || !printable(n, maxName) })
	case kindWindow:
		return !names && !text && a.Offset >= 0 && a.Length > 0
	}
	return false
}

// printable reports whether s may go into a record and onto a screen.
func printable(s string, limit int) bool {
	return len(s) <= limit && utf8.ValidString(s) && !slices.ContainsFunc([]rune(s), func(r rune) bool { return !unicode.IsPrint(r) })
}

// clean makes text of unknown origin printable and short.
func clean(s string, limit int) string {
	out := make([]byte, 0, min(len(s), limit))
	for _, r := range s {
		if !unicode.IsPrint(r) {
			r = ' '
		}
		if len(out)+utf8.RuneLen(r) > limit {
			break
		}
		out = utf8.AppendRune(out, r)
	}
	return string(out)
}

// sendRequest sends r and, unless nil, a descriptor.
func sendRequest(conn *net.UnixConn, r request, f *os.File) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	var rights []byte
	if f != nil {
		rights = unix.UnixRights(int(f.Fd()))
	}
	if _, _, err = conn.WriteMsgUnix(b, rights, nil); err != nil {
		return fmt.Errorf("asking a worker: %w", err)
	}
	return nil
}

// receiveAnswer waits for the next answer, until the connection's deadline.
func receiveAnswer(conn *net.UnixConn) (answer, error) {
	buf := make([]byte, messageSize+1)
	n, _, flags, _, err := conn.ReadMsgUnix(buf, nil)
	if err != nil {
		return answer{}, fmt.Errorf("waiting for a worker: %w", err)
	}
	if n == 0 || flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		return answer{}, errors.New("waiting for a worker: it closed the connection or sent too much")
	}
	return parseAnswer(buf[:n])
}
