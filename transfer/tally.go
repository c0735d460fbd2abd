package transfer

import (
	"maps"
	"slices"

	"sekisho/scan"
	"sekisho/transfer/manifest"
	"sekisho/transfer/source"
)

// note counts an entry and reports it.
func (r *reading) note(e *manifest.Entry, rule string) {
	if e.Type == manifest.Folder {
		r.folders++
		return
	}
	if e.Type == manifest.Other {
		r.others++
		if unseen(e) {
			r.unseen++
		}
	}
	var v scan.Verdict
	_ = v.UnmarshalText([]byte(e.Verdict)) // unknown is Unscannable
	r.tally.Add(v, e.Size)
	c := r.sums[e.Verdict]
	c.Files++
	c.Bytes += e.Size
	r.sums[e.Verdict] = c
	if rule != "" {
		r.rules[rule]++
	}
	r.bytes += e.Size
	r.Watcher.file(e)
	r.Watcher.progress(Progress{Phase: PhasePrepare, Transfer: r.draft.Plan.Transfer,
		Files: r.tally.Files, TotalFiles: r.total.Files + r.total.Left + r.total.Failed, Bytes: r.bytes, TotalBytes: r.total.Bytes})
}

// unseen says that e may hold any number of files that nobody has counted: a
// folder that cannot be read, or where another filesystem begins.
func unseen(e *manifest.Entry) bool {
	name := e.Findings[0].Name
	return name == unreadable || name == notAFile+"."+source.Mount.String()
}

// held is the reason to keep the bag from being carried, or "".
func (r *reading) held() Reason {
	policy, tally := r.Workflow.Policy, r.tally
	if !policy.Strict && policy.Kind == scan.Files {
		// Links, pipes and devices are listed as left out, but they are no
		// files: many of them are a habit of the source, not a wave.
		tally.Files -= r.others
		tally.LeftOut -= r.others
		tally.ByVerdict[scan.Unscannable] -= r.others
	}
	switch {
	case r.unseen > 0:
		return FolderUnread
	case policy.Decide(tally) != scan.Hold:
		return ""
	case policy.Strict, policy.Kind != scan.Files, tally.LeftOut >= tally.Files:
		if r.tally.ByVerdict[scan.Detected] > 0 {
			return Detected
		}
		return Unscannable
	}
	return TooManyLeftOut
}

func (r *reading) counts() []manifest.Count {
	counts := make([]manifest.Count, len(manifest.Verdicts))
	for i, v := range manifest.Verdicts {
		counts[i] = r.sums[v]
		counts[i].Verdict = v
	}
	return counts
}

func (r *reading) exemptions() []manifest.Exemption {
	used := make([]manifest.Exemption, 0, len(r.rules))
	for _, rule := range slices.Sorted(maps.Keys(r.rules)) {
		used = append(used, manifest.Exemption{Rule: rule, Files: r.rules[rule]})
	}
	return used
}
