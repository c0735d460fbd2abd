package transfer

import "sekisho/transfer/manifest"

// Phase is a stretch of work that a person can wait for.
type Phase string

// The phases, in the order in which they come.
const (
	PhaseCount   Phase = "counting"
	PhasePrepare Phase = "preparing"
	PhaseWrite   Phase = "writing" // and reading back
	PhaseSeal    Phase = "sealing"
	PhaseCheck   Phase = "checking"
	PhaseRestore Phase = "restoring"
)

// Progress is how far a phase has come. Totals are 0 while they are not known.
type Progress struct {
	Phase      Phase
	Transfer   string
	Files      int64
	TotalFiles int64
	Bytes      int64
	TotalBytes int64
}

// File is what became of one file: its path as bytes, verdict and findings.
type File struct {
	Path     manifest.Path
	Verdict  string
	Findings []manifest.Finding
	Carried  bool // its bytes are in the bag
}

// Watcher is told how a flow goes. Its functions may be nil. Each is called by
// one goroutine at a time, not both by the same, and must return soon: the flow
// waits for them.
type Watcher struct {
	Progress func(Progress)
	File     func(File)
}

func (w Watcher) progress(p Progress) {
	if w.Progress != nil {
		w.Progress(p)
	}
}

func (w Watcher) file(e *manifest.Entry) {
	if w.File != nil && e.Type != manifest.Folder {
		w.File(File{e.Path, e.Verdict, e.Findings, e.Carried()})
	}
}
