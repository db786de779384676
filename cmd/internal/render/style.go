package render

import (
	"io"
	"os"

	"golang.org/x/term"

	"github.com/sennit-io/sennit/schemas/timeline"
)

// Options say how to draw. The zero value draws 80 columns without colour and
// every row.
type Options struct {
	Width   int  // columns; below 60 counts as 60, 0 as 80
	Color   bool // ANSI colours
	MaxRows int  // most rows of a waterfall, 0 for all
}

func (o Options) width() int {
	switch {
	case o.Width == 0:
		return 80
	case o.Width < 60:
		return 60
	}
	return o.Width
}

// Terminal returns the options for a writer: colour and width as its terminal
// has them. mode is "auto", "always" or "never"; auto colours only on a
// terminal, and not if NO_COLOR is set (no-color.org) or TERM is "dumb". A width
// other than 0 is taken as it is; what is no terminal gets 120 columns.
func Terminal(w io.Writer, mode string, width int) Options {
	o := Options{Width: width, Color: mode == "always"}
	f, isFile := w.(*os.File)
	isTerminal := isFile && term.IsTerminal(int(f.Fd()))
	if mode == "auto" && isTerminal {
		o.Color = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	}
	if o.Width == 0 {
		o.Width = 120
		if isTerminal {
			if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
				o.Width = columns
			}
		}
	}
	return o
}

// style is an ANSI "select graphic rendition" sequence's numbers.
type style string

const (
	plain   style = ""
	bold    style = "1"
	dim     style = "2"
	red     style = "31"
	redBold style = "31;1"
	green   style = "32"
	yellow  style = "33"
	blue    style = "34"
	magenta style = "35"
	cyan    style = "36"
)

func (o Options) paint(st style, s string) string {
	if !o.Color || st == plain || s == "" {
		return s
	}
	return "\x1b[" + string(st) + "m" + s + "\x1b[0m"
}

// layerStyle colours the layers as families: the network's, the agent's, the
// kernel's.
func layerStyle(l timeline.Layer) style {
	switch l {
	case timeline.LayerEdge, timeline.LayerNetwork, timeline.LayerPolicy, timeline.LayerDNS:
		return blue
	case timeline.LayerServer, timeline.LayerHTTP:
		return cyan
	case timeline.LayerAgent, timeline.LayerModel, timeline.LayerTool:
		return magenta
	case timeline.LayerProcess, timeline.LayerFile, timeline.LayerSyscall:
		return yellow
	}
	return plain
}
