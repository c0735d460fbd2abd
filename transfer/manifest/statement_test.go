package manifest

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestStatementRefuses(t *testing.T) {
	elsewhere := time.FixedZone("JST", 9*60*60)
	long := strings.Repeat("x", MaxText+1)
	refuses(t, "statement", []change[Statement]{
		{"no id", "transfer", func(s *Statement) { s.Transfer = "42" }},
		{"another kiosk's id", "transfer", func(s *Statement) { s.Kiosk = "k4" }},
		{"a kiosk's name that runs into the number", "transfer", func(s *Statement) { s.Transfer, s.Kiosk = "20261122T1212Z-k3-1-000042", "k3" }},
		{"no kiosk", "transfer", func(s *Statement) { s.Kiosk = "" }},
		{"another number", "transfer", func(s *Statement) { s.Number = 43 }},
		{"number 0", "transfer", func(s *Statement) { s.Number = 0 }},
		{"number below 0", "transfer", func(s *Statement) { s.Transfer, s.Number = "20261122T1212Z-k3--123456", -123456 }},
		{"no drive", "drive", func(s *Statement) { s.Drive = "" }},
		{"drive of other characters", "drive", func(s *Statement) { s.Drive = strings.ToUpper(driveID) }},
		{"staff with a name", "staff", func(s *Statement) { s.Staff = "Sato Hanako" }},
		{"workflow below 0", "workflow", func(s *Statement) { s.Workflow = -1 }},
		{"counter 0", "counter", func(s *Statement) { s.Counter, s.Gaps = 0, nil }},
		{"folders below 0", "folders", func(s *Statement) { s.Folders = -1 }},
		{"data of another zone", "times", func(s *Statement) { s.DataAsOf = evening.In(elsewhere) }},
		{"prepared in another zone", "times", func(s *Statement) { s.Prepared = evening.In(elsewhere) }},
		{"sealed before the clock began", "times", func(s *Statement) { s.Time = time.Date(1600, 12, 31, 0, 0, 0, 0, time.UTC) }},
		{"as of nothing", "asOf", func(s *Statement) { s.AsOf = "" }},
		{"as of a bell", "asOf", func(s *Statement) { s.AsOf = "start\a" }},
		{"time from nothing", "timeFrom", func(s *Statement) { s.TimeFrom = "" }},
		{"software of great length", "software", func(s *Statement) { s.Software = long }},
		{"no checkpoint", "checkpoint", func(s *Statement) { s.Ledger = "" }},
		{"checkpoint without its end", "checkpoint", func(s *Statement) { s.Ledger = strings.TrimSuffix(checkpoint, "\n") }},
		{"checkpoint with a carriage return", "checkpoint", func(s *Statement) { s.Ledger = "x\r\n" }},
		{"too many gaps", "257 gaps", func(s *Statement) {
			s.Counter, s.Gaps = 1000, nil
			for i := range uint64(MaxGaps + 1) {
				s.Gaps = append(s.Gaps, i+1)
			}
		}},
		{"gap at 0", "gap", func(s *Statement) { s.Gaps = []uint64{0} }},
		{"gap twice", "gap", func(s *Statement) { s.Gaps = []uint64{105, 105} }},
		{"gaps out of order", "gap", func(s *Statement) { s.Gaps = []uint64{106, 105} }},
		{"gap at the counter", "gap", func(s *Statement) { s.Gaps = []uint64{108} }},
		{"no engine", "no engine", func(s *Statement) { s.Engines = nil }},
		{"too many engines", "17 engines", func(s *Statement) { s.Engines = slices.Repeat(s.Engines[:1], maxEngines+1) }},
		{"engine without a name", "engine", func(s *Statement) { s.Engines[1].Name = "" }},
		{"engine without a version", "version", func(s *Statement) { s.Engines[1].Version = "" }},
		{"definitions of another zone", "newest", func(s *Statement) { s.Engines[1].Newest = evening.In(elsewhere) }},
		{"no tag manifest", "tag manifest", func(s *Statement) { s.Sizes.TagManifest = 0 }},
		{"huge tag manifest", "tag manifest", func(s *Statement) { s.Sizes.TagManifest = MaxTagFile + 1 }},
		{"a tag file too few", "6 tag files", func(s *Statement) { s.Sizes.Tags = s.Sizes.Tags[:6] }},
		{"tag files in another order", "tag file", func(s *Statement) { slices.Reverse(s.Sizes.Tags) }},
		{"empty tag file", "tag file", func(s *Statement) { s.Sizes.Tags[0].Bytes = 0 }},
		{"huge plain tag file", "tag file", func(s *Statement) { s.Sizes.Tags[0].Bytes = MaxTagFile + 1 }},
		{"huge encrypted tag file", "tag file", func(s *Statement) { s.Sizes.Tags[2].Bytes = MaxPartSize + 1 }},
		{"no parts", "0 parts", func(s *Statement) { s.Sizes.Parts = []int64{} }},
		{"too many parts", "4097 parts", func(s *Statement) { s.Sizes.Parts = slices.Repeat([]int64{1}, MaxParts+1) }},
		{"empty part", "part of 0", func(s *Statement) { s.Sizes.Parts[1] = 0 }},
		{"huge part", "part of", func(s *Statement) { s.Sizes.Parts[1] = MaxPartSize + 1 }},
		{"a count too few", "3 counts", func(s *Statement) { s.Counts = s.Counts[:3] }},
		{"counts in another order", "count", func(s *Statement) { slices.Reverse(s.Counts) }},
		{"files below 0", "count", func(s *Statement) { s.Counts[3].Files = -1 }},
		{"bytes below 0", "count", func(s *Statement) { s.Counts[3].Bytes = -1 }},
		{"not partial with a file left out", "partial", func(s *Statement) { s.Partial = false }},
		{"partial with none left out", "partial", func(s *Statement) { s.Counts[1].Files = 0 }},
		{"not partial with one unscannable", "partial", func(s *Statement) { s.Counts[1].Files, s.Counts[2].Files, s.Partial = 0, 1, false }},
		{"altogether too long", "a statement of", func(s *Statement) {
			s.Ledger = strings.Repeat("x", maxCheckpoint-1) + "\n"
			s.Sizes.Parts = slices.Repeat([]int64{MaxPartSize}, MaxParts)
			s.Engines = slices.Repeat(s.Engines[:1], maxEngines)
		}},
	})
}

// What frames a statement is checked as well as the statement.
func TestStatementFrame(t *testing.T) {
	good := string(find("statement").raw(validStatement()))
	for name, swap := range map[string][2]string{
		"another type":           {"in-toto.io/Statement/v1", "in-toto.io/Statement/v2"},
		"another predicate":      {"transfer/v1", "transfer/v2"},
		"another subject":        {`"name":"tagmanifest-sha256.txt"`, `"name":"manifest-sha256.txt"`},
		"another digest":         {`{"sha256":"` + validStatement().Payload.String(), `{"sha256":"` + hashOf("other").String()},
		"two subjects":           {`"subject":[`, `"subject":[{"name":"x","digest":{"sha256":"` + hashOf("x").String() + `"}},`},
		"no subject":             {`[{"name":"tagmanifest-sha256.txt","digest":{"sha256":"` + validStatement().Payload.String() + `"}}]`, `[]`},
		"a field more":           {`"folders":2`, `"folders":2,"approved":true`},
		"a digest of one kind":   {`"digest":{`, `"digest":{"sha512":"",`},
		"a counter that is text": {`"counter":108`, `"counter":"108"`},
		"a counter below 0":      {`"counter":108`, `"counter":-108`},
	} {
		bad := strings.Replace(good, swap[0], swap[1], 1)
		if bad == good {
			t.Fatalf("%s: nothing changed", name)
		}
		if s, err := ParseStatement([]byte(bad)); s != nil || !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, %v", name, s, err)
		}
	}
}
