package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"sekisho/scan"
	"sekisho/transfer/manifest"
	"sekisho/transfer/source"
)

// item is one entry on its way through the pass.
type item struct {
	from  source.Entry
	room  *scan.Room
	entry manifest.Entry
	rule  string
	blob  *scan.Blob
	err   error
	done  chan struct{}
}

func (i *item) close() {
	if i.from.File != nil {
		_ = i.from.File.Close() // only read from
	}
	if i.room != nil {
		i.room.Release() // nothing to do once it was filled
	}
	if i.blob != nil {
		_ = i.blob.Close()
	}
}

func typeOf(e *source.Entry) manifest.Type {
	switch {
	case e.Kind == source.File:
		return manifest.File
	case e.Kind == source.Dir && e.Err == nil:
		return manifest.Folder
	}
	return manifest.Other
}

// describe begins an entry's line in the index: what is known before reading.
func describe(e *source.Entry) manifest.Entry {
	m := manifest.Entry{Path: manifest.Path(e.Path), Type: typeOf(e), Size: e.Size, ModTime: manifest.Timestamp(e.ModTime)}
	switch {
	case e.Err != nil:
		m.Verdict, m.Findings = manifest.Unscannable, fromSource(unreadable)
	case m.Type == manifest.Other:
		m.Verdict, m.Findings = manifest.Unscannable, fromSource(notAFile+"."+e.Kind.String())
	}
	return m
}

// Findings of the reading itself.
const (
	unreadable = "Unreadable" // it could not be opened
	readFailed = "ReadFailed" // it could, and its bytes could not be had
	changing   = "ChangedWhileRead"
	notAFile   = "NotAFile" // followed by "." and what it is
)

func fromSource(name string) []manifest.Finding {
	return []manifest.Finding{{Engine: "source", Name: name}}
}

// examine reads a file once and gives it its verdict.
func (r *reading) examine(ctx context.Context, i *item) error {
	src := &sourceFile{File: i.from.File}
	blob, err := i.room.Fill(src)
	i.blob = blob
	changed, cerr := source.Changed(i.from.ID, i.from.File)
	switch {
	case errors.Is(err, scan.ErrGrew), errors.Is(err, scan.ErrShrank), err == nil && changed:
		return i.leave(changing)
	case src.failed, err == nil && cerr != nil:
		return i.leave(readFailed)
	case err != nil:
		return err
	}
	result, err := r.Scanner.Scan(ctx, blob)
	if err != nil {
		return fmt.Errorf("scanning: %w", err)
	}
	var rule *scan.Exemption
	if len(result.Findings) <= manifest.MaxFindings { // the gate must read of each that it was exempted
		result, rule = r.Workflow.Policy.Exempted(i.from.Path, blob.Facts(), result, time.Now())
	}
	sum := manifest.Hash(blob.SHA256())
	i.entry.SHA256, i.entry.Verdict = &sum, result.Verdict.String()
	i.entry.Findings = findings(result.Findings)
	if rule != nil {
		i.rule = ruleText(rule)
	}
	return nil
}

// findings words what engines said for the index.
func findings(said []scan.Finding) []manifest.Finding {
	var list []manifest.Finding
	for _, f := range said[:min(len(said), manifest.MaxFindings)] {
		list = append(list, manifest.Finding{Engine: f.Engine, Name: manifest.Text(f.Name, manifest.MaxText), Where: manifest.Text(f.Where, manifest.MaxText)})
	}
	return list
}

// leave gives the verdict on a file whose bytes could not be had.
func (i *item) leave(why string) error {
	i.entry.Verdict, i.entry.Findings = manifest.Unscannable, fromSource(why)
	if i.blob == nil {
		return nil
	}
	b := i.blob
	i.blob = nil
	return b.Close()
}

// sourceFile remembers whether reading failed on the source's side: such a
// file is left out, while a failing spool stops the work.
type sourceFile struct {
	*os.File
	failed bool
}

func (f *sourceFile) Read(p []byte) (int, error) {
	n, err := f.File.Read(p)
	f.failed = err != nil && err != io.EOF
	return n, err
}

// content is what there is to pack or to keep; nil for folders and for what
// could not be read.
func (i *item) content() io.Reader {
	if i.blob == nil {
		return nil
	}
	return i.blob.NewReader()
}

// ruleText words an exemption for the details.
func ruleText(e *scan.Exemption) string {
	return manifest.Text(fmt.Sprintf("path=%q signature=%q sha256=%q until=%s by=%q: %s",
		e.Path, e.Signature, e.SHA256, e.Until.UTC().Format(time.RFC3339), e.By, e.Reason), manifest.MaxRule)
}
