package scan

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

const clamdName = "clamd"

// reply is clamd's answer to one command within a session, as it stands
// between the NULs: "7: fd[11]: OK", "8: stream: Some.Name FOUND",
// "9: fd[12]: Can't write to file ERROR".
type reply struct {
	id     int    // counts the commands of the session, from 1
	source string // "stream" or "fd[N]"
	status string // OK, FOUND, ERROR
	text   string // signature name or error; empty for OK
}

// maxReply bounds a reply, in bytes without its NUL.
const maxReply = 1024

func (r reply) String() string {
	if r.status == "OK" {
		return fmt.Sprintf("%d: %s: OK", r.id, r.source)
	}
	return fmt.Sprintf("%d: %s: %s %s", r.id, r.source, r.text, r.status)
}

var errReply = errors.New("clamd's reply is none that is known")

// parseReply accepts exactly the three forms. Whatever else a daemon says is
// no verdict.
func parseReply(line string) (reply, error) {
	var r reply
	if len(line) > maxReply || strings.ContainsFunc(line, func(c rune) bool { return c < ' ' || c > '~' }) {
		return reply{}, errReply
	}
	id, rest, ok := strings.Cut(line, ": ")
	if !ok {
		return reply{}, errReply
	}
	r.id, _ = strconv.Atoi(id)
	if r.source, rest, ok = strings.Cut(rest, ": "); !ok || r.id < 1 {
		return reply{}, errReply
	}
	if number, ok := strings.CutPrefix(r.source, "fd["); ok {
		number, closed := strings.CutSuffix(number, "]")
		if _, err := strconv.ParseUint(number, 10, 31); err != nil || !closed {
			return reply{}, errReply
		}
	} else if r.source != "stream" {
		return reply{}, errReply
	}
	if rest == "OK" {
		r.status = rest
	} else if i := strings.LastIndexByte(rest, ' '); i > 0 && (rest[i+1:] == "FOUND" || rest[i+1:] == "ERROR") {
		r.text, r.status = rest[:i], rest[i+1:]
	} else {
		return reply{}, errReply
	}
	if r.String() != line {
		return reply{}, errReply
	}
	return r, nil
}

// doubts are the names under which clamd says that it could not look, rather
// than that it saw something.
var doubts = []string{"Heuristics.Limits.Exceeded", "Heuristics.Encrypted", "Heuristics.Broken"}

// extended is what clamd adds to a name under ExtendedDetectionInfo: hash and
// size of the innermost content. An exemption names the signature alone.
var extended = regexp.MustCompile(`\([0-9a-f]{32}:[0-9]+\)$`)

// finding turns a FOUND reply into what it means.
func (r reply) finding() Finding {
	f := Finding{Engine: clamdName, Name: extended.ReplaceAllString(r.text, ""), Verdict: Detected}
	for _, d := range doubts {
		if f.Name == d || strings.HasPrefix(f.Name, d+".") {
			f.Verdict = Unscannable
		}
	}
	return f
}
