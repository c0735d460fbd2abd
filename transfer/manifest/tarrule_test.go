package manifest

import (
	"bytes"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"
)

// headerByRule follows FORMAT.md, "Tar headers", step by step.
func headerByRule(e *Entry) []byte {
	name, kind, mode := string(e.Path), byte('0'), int64(0o644)
	if e.Type == Folder {
		name, kind, mode = name+"/", '5', 0o755
	}
	const octal11 = 1 << 33 // what eleven octal digits cannot hold
	seconds := e.ModTime.Unix()
	ascii := strings.IndexFunc(name, func(c rune) bool { return c >= 0x80 }) < 0
	timeRecord := e.ModTime.Nanosecond() != 0 || seconds < 0 || seconds >= octal11
	sizeRecord := e.Size >= octal11
	pathRecord := !ascii || len(name) > 100

	prefix, suffix, split := splitByRule(name, ascii)
	if pathRecord && !timeRecord && !sizeRecord && split { // no extended header
		return block(suffix, prefix, kind, mode, e.Size, seconds)
	}
	if !pathRecord && !timeRecord && !sizeRecord {
		return block(name, "", kind, mode, e.Size, seconds)
	}
	var records bytes.Buffer
	if timeRecord {
		records.WriteString(record("mtime", decimal(e.ModTime)))
	}
	if pathRecord {
		records.WriteString(record("path", name))
	}
	if sizeRecord {
		records.WriteString(record("size", strconv.FormatInt(e.Size, 10)))
	}
	dir, file := path.Split(name)
	extended := cut(asciiOf(path.Join(dir, "PaxHeaders.0", file)), 100)
	out := block(strings.TrimRight(extended, "/"), "", 'x', 0, int64(records.Len()), 0)
	out = append(out, records.Bytes()...)
	out = append(out, make([]byte, Padding(int64(records.Len())))...)

	short := asciiOf(name)
	if len(short) > 100 && short[99] == '/' {
		// A NUL takes the place of the first of the slashes that end the field.
		n := len(strings.TrimRight(short[:99], "/"))
		short = short[:n] + "\x00" + short[n+1:100]
	}
	size, mtime := e.Size, seconds
	if sizeRecord {
		size = 0
	}
	if seconds < 0 || seconds >= octal11 {
		mtime = 0
	}
	return append(out, block(cut(short, 100), "", kind, mode, size, mtime)...)
}

// splitByRule is ustar's way to hold a path of up to 256 bytes in two fields.
func splitByRule(name string, ascii bool) (prefix, suffix string, ok bool) {
	if !ascii || len(name) <= 100 {
		return "", "", false
	}
	window := name
	if len(name) > 156 {
		window = name[:156]
	} else {
		window = strings.TrimSuffix(name, "/")
	}
	i := strings.LastIndexByte(window, '/')
	if i <= 0 || len(name)-i-1 > 100 || len(name)-i-1 == 0 {
		return "", "", false
	}
	return name[:i], name[i+1:], true
}

func record(key, value string) string {
	rest := " " + key + "=" + value + "\n"
	n := len(rest)
	for n != len(rest)+len(strconv.Itoa(n)) {
		n = len(rest) + len(strconv.Itoa(n))
	}
	return strconv.Itoa(n) + rest
}

// decimal writes the seconds since 1970 with the fraction they need.
func decimal(t time.Time) string {
	seconds, nanos, sign := t.Unix(), int64(t.Nanosecond()), ""
	if seconds < 0 && nanos > 0 {
		seconds, nanos, sign = -(seconds + 1), 1e9-nanos, "-"
	}
	s := sign + strconv.FormatInt(seconds, 10)
	if nanos == 0 {
		return s
	}
	return s + strings.TrimRight(fmt.Sprintf(".%09d", nanos), "0")
}

func block(name, prefix string, kind byte, mode, size, mtime int64) []byte {
	b := make([]byte, 512)
	copy(b[0:100], name)
	copy(b[100:], fmt.Sprintf("%07o", mode))
	copy(b[108:], "0000000")
	copy(b[116:], "0000000")
	copy(b[124:], fmt.Sprintf("%011o", size))
	copy(b[136:], fmt.Sprintf("%011o", mtime))
	copy(b[148:], "        ")
	b[156] = kind
	copy(b[257:], "ustar\x0000")
	if kind != 'x' {
		copy(b[329:], "0000000")
		copy(b[337:], "0000000")
	}
	copy(b[345:], prefix)
	var sum int64
	for _, c := range b {
		sum += int64(c)
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
	return b
}

// asciiOf drops every byte that is not ASCII.
func asciiOf(s string) string {
	return strings.Map(func(c rune) rune {
		if c >= 0x80 {
			return -1
		}
		return c
	}, s)
}

func cut(s string, n int) string { return s[:min(n, len(s))] }
