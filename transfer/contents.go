package transfer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"sekisho/scan"
	"sekisho/transfer/manifest"
	"sekisho/transfer/vault"
)

// hashParts takes and checks the parts and keeps none.
func (d *delivery) hashParts(ctx context.Context) error {
	return d.eachPart(ctx, false, func(ctx context.Context, p *parts) error {
		for n := range d.parts {
			if err := p.discard(ctx, n+1); err != nil {
				return err
			}
		}
		return nil
	})
}

// eachPart takes the parts while use, one behind, uses them.
func (d *delivery) eachPart(ctx context.Context, keep bool, use func(context.Context, *parts) error) error {
	p, err := d.newParts(keep)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return p.take(ctx) })
	g.Go(func() error { return use(ctx, p) })
	return errors.Join(g.Wait(), p.close())
}

func (d *delivery) staged(name string) string { return filepath.Join(d.staging.Bag(), name) }

// readIndex goes through the whole index once before any part is decrypted:
// its form, its sums against the statement, the checksum list and the details.
func (d *delivery) readIndex() error {
	index, f, err := d.Identity.openIndex(d.staging.Bag(), d.id)
	if err != nil {
		return err
	}
	defer f.Close()
	list, err := d.Identity.open(d.staged(manifest.FileSums))
	if err != nil {
		return err
	}
	defer list.Close()
	counts := make(map[string]manifest.Count)
	var folders int64
	for {
		e, err := index.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return malformedIn(manifest.Index, err)
		}
		if e.Type == manifest.Folder {
			folders++
			continue
		}
		c := counts[e.Verdict]
		c.Files++
		c.Bytes += e.Size
		counts[e.Verdict] = c
		if e.Carried() {
			want := manifest.FileSum(e)
			got := make([]byte, len(want))
			if _, err := io.ReadFull(list, got); err != nil && !ended(err) {
				return err
			}
			if !bytes.Equal(got, want) {
				return refusef(Malformed, manifest.FileSums, "it does not follow from the index")
			}
		}
	}
	if n, err := io.ReadFull(list, make([]byte, 1)); n != 0 {
		return refusef(Malformed, manifest.FileSums, "it goes on after the index")
	} else if !ended(err) {
		return err
	}
	for _, c := range d.statement.Counts {
		if got := counts[c.Verdict]; got.Files != c.Files || got.Bytes != c.Bytes {
			return refusef(Malformed, manifest.Index, "it lists %d files that are %s, the statement %d", got.Files, c.Verdict, c.Files)
		}
	}
	if folders != d.statement.Folders {
		return refusef(Malformed, manifest.Index, "it lists %d folders, the statement %d", folders, d.statement.Folders)
	}
	details, err := d.Identity.open(d.staged(manifest.DetailsFile))
	if err != nil {
		return err
	}
	defer details.Close()
	_, err = manifest.ParseDetails(details, d.id)
	return malformedIn(manifest.DetailsFile, err)
}

// ended says that a file was read to its end, where its encryption held.
func ended(err error) bool { return err == io.EOF || err == io.ErrUnexpectedEOF }

// readParts takes the parts from the drive and, one behind, decrypts each after
// its hash held, compares headers and contents with the index, and has every
// file scanned.
func (d *delivery) readParts(ctx context.Context) error {
	index, f, err := d.Identity.openIndex(d.staging.Bag(), d.id)
	if err != nil {
		return err
	}
	defer f.Close()
	return d.eachPart(ctx, !d.VerifyOnly, func(ctx context.Context, p *parts) error {
		c := &contents{delivery: d, ctx: ctx}
		if d.Scanner != nil {
			c.workers, c.ctx = errgroup.WithContext(ctx)
			c.workers.SetLimit(max(d.Workers, 1))
		}
		err := unpack(index, len(d.parts), func(n int) (io.ReadCloser, error) { return p.open(c.ctx, n) }, c.each)
		if c.workers != nil {
			// What was found says more than that the work was stopped.
			if werr := c.workers.Wait(); werr != nil {
				return werr
			}
		}
		return err
	})
}

// contents hashes and scans the files of a delivery as they come by.
type contents struct {
	*delivery
	ctx     context.Context
	workers *errgroup.Group // nil without a scanner
	files   int64
	bytes   int64
	report  sync.Mutex // files are reported by whoever had them last
}

func (c *contents) file(e *manifest.Entry) {
	c.report.Lock()
	defer c.report.Unlock()
	c.Watcher.file(e)
}

func (c *contents) each(e *manifest.Entry, content io.Reader) (sum manifest.Hash, err error) {
	if err := c.ctx.Err(); err != nil {
		return sum, err
	}
	if content != nil {
		if c.workers == nil {
			hash := sha256.New()
			_, err = io.Copy(hash, content)
			sum = manifest.Hash(hash.Sum(nil))
		} else {
			sum, err = c.scan(e, content)
		}
		if err != nil {
			return sum, err
		}
		c.bytes += e.Size
	}
	if e.Type != manifest.Folder {
		c.files++
	}
	if content == nil || c.workers == nil {
		c.file(e)
	}
	var files, bytes int64
	for _, n := range c.statement.Counts {
		files += n.Files
	}
	for _, v := range []string{manifest.Clean, manifest.Exempt} {
		bytes += c.statement.Count(v).Bytes
	}
	c.Watcher.progress(Progress{Phase: PhaseCheck, Transfer: c.id, Files: c.files, TotalFiles: files, Bytes: c.bytes, TotalBytes: bytes})
	return sum, nil
}

// passes says whether the gate keeps a file of which its engines said result.
// A doubt may have been exempted at the kiosk, in the sealed index. A detection
// may not: whoever rules the kiosk would only have to name it. That takes an
// exemption of the gate's own.
func (c *contents) passes(result scan.Result, e *manifest.Entry) bool {
	switch result.Verdict {
	case scan.Clean, scan.Exempt:
		return true
	case scan.Unscannable:
		return e.Verdict == manifest.Exempt && known(result.Findings, e.Findings)
	}
	return false
}

// scan has the gate's own engines search a file.
func (c *contents) scan(e *manifest.Entry, content io.Reader) (manifest.Hash, error) {
	room, err := c.Spool.Reserve(c.ctx, e.Size)
	if err != nil {
		return manifest.Hash{}, err
	}
	blob, err := room.Fill(content)
	if errors.Is(err, scan.ErrShrank) {
		return manifest.Hash{}, refuse(Malformed, manifest.Index, err)
	}
	if err != nil {
		return manifest.Hash{}, err
	}
	file := *e
	c.workers.Go(func() error {
		defer blob.Close()
		result, err := c.Scanner.Scan(c.ctx, blob)
		if err != nil {
			return err
		}
		result, _ = c.Policy.Exempted(string(file.Path), blob.Facts(), result, time.Now())
		if c.passes(result, &file) {
			c.file(&file)
			return nil
		}
		sealed := file.Verdict
		file.Verdict, file.Findings = result.Verdict.String(), findings(result.Findings)
		c.file(&file)
		reason := Unscannable
		if result.Verdict == scan.Detected {
			reason = Detected
		}
		f := result.Findings[0]
		return refusef(reason, c.id, "the gate's %s says %q of a file that the kiosk sealed as %s", f.Engine, f.Name, sealed)
	})
	return blob.SHA256(), nil
}

// known says whether each finding was sealed as exempted.
func known(got []scan.Finding, sealed []manifest.Finding) bool {
	return !slices.ContainsFunc(got, func(f scan.Finding) bool {
		return !slices.ContainsFunc(sealed, func(s manifest.Finding) bool {
			return s.Engine == f.Engine && s.Name == manifest.Text(f.Name, manifest.MaxText)
		})
	})
}

// generation puts the seal beside the bag and makes the record of the acceptance.
func (d *delivery) generation() (vault.Generation, error) {
	st := d.statement
	for name, data := range d.sealed {
		f, err := d.staging.Create(filepath.Join(manifest.SealDir, name))
		if err != nil {
			return vault.Generation{}, err
		}
		_, err = f.Write(data)
		if err := errors.Join(err, f.Close()); err != nil {
			return vault.Generation{}, err
		}
	}
	g := vault.Generation{
		ID: st.Transfer, Transfer: st.Transfer, Kiosk: st.Kiosk, Key: d.link.key, Counter: st.Counter, Payload: st.Payload,
		Statement: d.link.statement, Previous: st.Previous, Gaps: st.Gaps, Workflow: st.Workflow,
		Resets: d.by.ResetCount, Restarts: d.by.RestartCount, Clock: d.by.Clock, Safe: d.by.Safe, Firmware: d.by.Firmware, State: stateOf(d.by),
		Files:   st.Count(manifest.Clean).Files + st.Count(manifest.Exempt).Files,
		Bytes:   st.Count(manifest.Clean).Bytes + st.Count(manifest.Exempt).Bytes,
		Partial: st.Partial, DataAsOf: st.DataAsOf, SoftTPM: st.SoftTPM,
		Time: time.Now().UTC().Truncate(time.Second), Scanned: d.Scanner != nil,
	}
	if d.Scanner != nil {
		g.Engines = engines(d.Scanner.Definitions())
	}
	return g, nil
}
