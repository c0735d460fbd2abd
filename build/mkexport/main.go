// Command mkexport writes the day's export of a hospital that does not exist,
// for tests, measurements and first runs.
//
//	go run ./build/mkexport -profile smoke -night 1 -seed 7 DIR
//	go run ./build/mkexport -hostile -expect FILE DIR
//	go run ./build/mkexport -attack ransomware DIR
//
// The export has the layout and the file formats a Japanese hospital's systems
// leave on a backup share: SS-MIX2 standardized and extended storage, DICOM,
// receipts, FHIR bundles, scanned documents, database dumps, and the exporter's
// log, written last. Patients, numbers (from 9990000) and places are invented.
//
// Bytes, names and modification times are a function of profile, night and seed
// alone, so two machines can make the same tree and compare what became of it.
// (Scanned pages pass through image/jpeg and archives through compress/flate,
// whose output may change between releases of Go.)
//
// It is no part of the product, and nothing imports it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"sekisho/build/mkexport/hostile"
)

const usage = `usage: mkexport [-profile NAME] [-night N] [-seed S] DIR
       mkexport -hostile [-sparse] -expect FILE DIR
       mkexport -attack ransomware [-extension .EXT] [-seed S] DIR

The first form writes the export of an invented hospital's night N into DIR,
which must be empty or hold an earlier night of the same profile and seed; that
night is then turned into night N: 2 % of the files change their content, and
7 to 8 % of the SS-MIX2 orders are updated (_1 becomes _2, a new _1 beside) or
deleted (_1 becomes _0).

    profile   SS-MIX2   DICOM    scans   dumps
    smoke       2,000      20       10       –
    clinic      1,000     200       50   200 MB
    beds200     8,000  10,000      300     5 GB   (11 GB in all)
    beds700    25,000  60,000    1,000    30 GB   (70 GB in all)
    small      20,000 files of 2 to 64 KiB
    medium     200 files of 10 MiB
    large      1 file of 4 GiB

Every export ends with EXPORT.LOG, the exporter's log with its 正常終了 line.
DICOMDIR, receipts and FHIR bundles come beside the counts above.

The second form writes files that a scanner must refuse or bear, and the verdict
expected for each of them, one JSON object a line, into FILE outside DIR. It
holds the EICAR test file: an antivirus on this machine will notice.

The third form leaves an export as ransomware would: 30 % of the files are
encrypted in place, with a note in each folder that was hit.

`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run returns the exit code: 0 done, 1 failed, 2 called wrongly.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("mkexport", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, usage)
		flags.PrintDefaults()
	}
	var (
		profileName = flags.String("profile", "smoke", "size and kind of hospital or benchmark set")
		night       = flags.Int("night", 1, "which night, from 1 to 365; night 1 is 2026-04-06")
		seedValue   = flags.Uint64("seed", 1, "another seed, another hospital")
		hostileSet  = flags.Bool("hostile", false, "write the hostile set")
		expect      = flags.String("expect", "", "with -hostile: write the expected verdicts to this `file`")
		sparse      = flags.Bool("sparse", false, "with -hostile: add sparse files around 2 GiB and of 5 GiB")
		attack      = flags.String("attack", "", "damage an existing export; the one `kind` is ransomware")
		extension   = flags.String("extension", "", "with -attack: what the ransomware appends to names")
	)
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	wrong := func(format string, a ...any) int {
		fmt.Fprintf(stderr, "mkexport: "+format+" (-h explains)\n", a...)
		return 2
	}
	if flags.NArg() != 1 {
		return wrong("want one folder, have %d", flags.NArg())
	}
	dir, s := flags.Arg(0), seed(*seedValue)
	if *hostileSet && *attack != "" {
		return wrong("-hostile and -attack exclude each other")
	}
	if !*hostileSet && (*expect != "" || *sparse) {
		return wrong("-expect and -sparse go with -hostile")
	}
	if *extension != "" && (*attack == "" || strings.Contains(*extension, "/")) {
		return wrong("-extension %q goes with -attack and is no path", *extension)
	}

	var err error
	switch {
	case *hostileSet:
		if *expect == "" {
			return wrong("-hostile needs -expect FILE")
		}
		err = hostile.Write(dir, *expect, *sparse)
	case *attack == "ransomware":
		err = ransomware(ctx, dir, s, *extension)
	case *attack != "":
		return wrong("unknown attack %q", *attack)
	default:
		p, ok := profiles[*profileName]
		if !ok {
			return wrong("unknown profile %q", *profileName)
		}
		if *night < 1 || *night > 365 {
			return wrong("night %d is not between 1 and 365", *night)
		}
		var done tally
		done, err = write(ctx, dir, export{name: *profileName, profile: p, night: *night, seed: s})
		if err == nil {
			fmt.Fprintf(stdout, "%s night %d seed %d: %d files; written %d, renamed %d, removed %d\n",
				*profileName, *night, s, done.files, done.written, done.renamed, done.removed)
		}
	}
	if err != nil {
		fmt.Fprintf(stderr, "mkexport: %v\n", err)
		return 1
	}
	return 0
}
