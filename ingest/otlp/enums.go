package otlp

import (
	"strings"

	"github.com/sennit-io/sennit/ingest/scan"
)

// enum reads an enum by number, or by name; a name nobody knows is 0, as a
// number nobody knows stays for the caller to ignore.
func enum(s *scan.JSON, number func(string) int64) int64 {
	if s.Peek() != '"' {
		return s.Int64()
	}
	name := view(s.Bytes())
	if name == "" || s.Err() != nil {
		return 0
	}
	if c := name[0]; c >= '0' && c <= '9' {
		v, _ := decimal([]byte(name))
		return int64(min(v, 1<<31))
	}
	return number(name)
}

func spanKind(name string) int64 {
	switch strings.TrimPrefix(name, "SPAN_KIND_") {
	case "INTERNAL":
		return 1
	case "SERVER":
		return 2
	case "CLIENT":
		return 3
	case "PRODUCER":
		return 4
	case "CONSUMER":
		return 5
	}
	return 0
}

func statusCode(name string) int64 {
	switch strings.TrimPrefix(name, "STATUS_CODE_") {
	case "OK":
		return 1
	case "ERROR":
		return 2
	}
	return 0
}

// severityNumber reads SEVERITY_NUMBER_INFO and SEVERITY_NUMBER_INFO2 to 4.
func severityNumber(name string) int64 {
	name = strings.TrimPrefix(name, "SEVERITY_NUMBER_")
	step := int64(0)
	if n := len(name); n > 0 && name[n-1] >= '2' && name[n-1] <= '4' {
		step = int64(name[n-1] - '1')
		name = name[:n-1]
	}
	switch name {
	case "TRACE":
		return 1 + step
	case "DEBUG":
		return 5 + step
	case "INFO":
		return 9 + step
	case "WARN":
		return 13 + step
	case "ERROR":
		return 17 + step
	case "FATAL":
		return 21 + step
	}
	return 0
}
