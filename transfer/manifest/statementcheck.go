package manifest

import (
	"fmt"
	"strings"
)

func (s *Statement) check() error {
	switch {
	case !ValidID(s.Transfer), s.Number < 1, s.Transfer[len(idTime):] != fmt.Sprintf("-%s-%06d", s.Kiosk, s.Number):
		return malformed("transfer %.80q, number %d of kiosk %.80q", s.Transfer, s.Number, s.Kiosk)
	case !validDrive(s.Drive) || s.Staff != "" && !ValidName(s.Staff):
		return malformed("drive %.80q, staff %.80q", s.Drive, s.Staff)
	case s.Workflow < 0 || s.Counter == 0 || s.Folders < 0:
		return malformed("workflow %d, counter %d, %d folders", s.Workflow, s.Counter, s.Folders)
	case !validTime(s.DataAsOf), !validTime(s.Prepared), !validTime(s.Time):
		return malformed("times %v, %v, %v", s.DataAsOf, s.Prepared, s.Time)
	case !validText(s.AsOf, MaxText), !validText(s.TimeFrom, MaxText), !validText(s.Software, MaxText):
		return malformed("asOf %.80q, timeFrom %.80q, software %.80q", s.AsOf, s.TimeFrom, s.Software)
	case !validLines(s.Ledger, maxCheckpoint):
		return malformed("no checkpoint of the kiosk's ledger")
	case len(s.Gaps) > MaxGaps:
		return malformed("%d gaps in the counter", len(s.Gaps))
	case len(s.Engines) == 0:
		return malformed("no engine")
	}
	var last uint64
	for _, gap := range s.Gaps {
		if gap <= last || gap >= s.Counter {
			return malformed("a gap at %d, after %d and below %d", gap, last, s.Counter)
		}
		last = gap
	}
	if err := checkEngines(s.Engines); err != nil {
		return err
	}
	if err := s.Sizes.check(); err != nil {
		return err
	}
	return s.checkCounts()
}

func (s *Sizes) check() error {
	switch {
	case s.TagManifest <= 0 || s.TagManifest > MaxTagFile:
		return malformed("a tag manifest of %d bytes", s.TagManifest)
	case len(s.Tags) != len(TagFiles):
		return malformed("%d tag files", len(s.Tags))
	case len(s.Parts) == 0 || len(s.Parts) > MaxParts:
		return malformed("%d parts", len(s.Parts))
	}
	for i, t := range s.Tags {
		limit := int64(MaxTagFile)
		if strings.HasSuffix(t.Name, ".age") {
			limit = MaxPartSize
		}
		if t.Name != TagFiles[i] || t.Bytes <= 0 || t.Bytes > limit {
			return malformed("tag file %.80q of %d bytes", t.Name, t.Bytes)
		}
	}
	for _, n := range s.Parts {
		if n <= 0 || n > MaxPartSize {
			return malformed("a part of %d bytes", n)
		}
	}
	return nil
}

func (s *Statement) checkCounts() error {
	if len(s.Counts) != len(Verdicts) {
		return malformed("%d counts", len(s.Counts))
	}
	for i, c := range s.Counts {
		if c.Verdict != Verdicts[i] || c.Files < 0 || c.Bytes < 0 {
			return malformed("count of %.80q", c.Verdict)
		}
	}
	if out := s.Count(Detected).Files + s.Count(Unscannable).Files; s.Partial != (out > 0) {
		return malformed("partial is %v with %d files left out", s.Partial, out)
	}
	return nil
}

// checkEngines is for statements and receipts alike.
func checkEngines(engines []Engine) error {
	if len(engines) > maxEngines {
		return malformed("%d engines", len(engines))
	}
	for _, e := range engines {
		if !validText(e.Name, MaxText) || !validText(e.Version, MaxText) || !validTime(e.Newest) {
			return malformed("engine %.80q, version %.80q, newest definitions of %v", e.Name, e.Version, e.Newest)
		}
	}
	return nil
}
