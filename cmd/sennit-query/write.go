package main

import (
	"bufio"
	"database/sql"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/duckdb/duckdb-go/v2"
)

// writers write an answer, by the name of the form.
var writers = map[string]func(io.Writer, *sql.Rows) error{"table": writeTable, "csv": writeCSV, "json": writeJSON}

// each calls f for every row; the values are valid during the call. Times are text.
func each(rows *sql.Rows, f func([]any) error) error {
	types, err := rows.ColumnTypes()
	if err != nil {
		return err
	}
	values, at := make([]any, len(types)), make([]any, len(types))
	for i := range values {
		at[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(at...); err != nil {
			return fmt.Errorf("read answer: %w", err)
		}
		for i, v := range values {
			if v, ok := v.(time.Time); ok {
				values[i] = v.UTC().Format("2006-01-02T15:04:05.000000Z")
				if types[i].DatabaseTypeName() == "DATE" {
					values[i] = v.UTC().Format(time.DateOnly)
				}
			}
		}
		if err := f(values); err != nil {
			return fmt.Errorf("write answer: %w", err)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	return nil
}

func writeTable(w io.Writer, rows *sql.Rows) error {
	names, err := rows.Columns()
	if err != nil {
		return err
	}
	grid := [][]string{names}
	right := make([]bool, len(names)) // numbers
	err = each(rows, func(values []any) error {
		line := make([]string, len(values))
		for i, v := range values {
			line[i] = escape(text(v))
			switch v.(type) {
			case int64, int32, float64, *big.Int, duckdb.Decimal:
				right[i] = true
			}
		}
		grid = append(grid, line)
		return nil
	})
	if err != nil {
		return err
	}
	widths := make([]int, len(names))
	for _, line := range grid {
		for i, s := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(s))
		}
	}
	out := bufio.NewWriter(w)
	for _, line := range grid {
		var b strings.Builder
		for i, s := range line {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(s))
			if right[i] {
				s = pad + s
			} else {
				s += pad
			}
			b.WriteString(s + "  ")
		}
		fmt.Fprintln(out, strings.TrimRight(b.String(), " "))
	}
	return out.Flush()
}

func writeCSV(w io.Writer, rows *sql.Rows) error {
	names, err := rows.Columns()
	if err != nil {
		return err
	}
	out := csv.NewWriter(w)
	if err := out.Write(names); err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	line := make([]string, len(names))
	err = each(rows, func(values []any) error {
		for i, v := range values {
			line[i] = cell(v)
		}
		return out.Write(line)
	})
	if out.Flush(); err == nil {
		err = out.Error()
	}
	return err
}

func writeJSON(w io.Writer, rows *sql.Rows) error {
	names, err := rows.Columns()
	if err != nil {
		return err
	}
	out := bufio.NewWriter(w)
	err = each(rows, func(values []any) error {
		for i, v := range values {
			if d, ok := v.(duckdb.Decimal); ok {
				v = json.Number(d.String())
			}
			name, _ := json.Marshal(names[i])
			value, err := json.Marshal(v)
			if err != nil {
				return err
			}
			out.WriteByte("{,"[min(i, 1)])
			out.Write(name)
			out.WriteByte(':')
			out.Write(value)
		}
		_, err := out.WriteString("}\n")
		return err
	})
	if err != nil {
		return err
	}
	return out.Flush()
}

// text is a value for people.
func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case []any, map[string]any:
		b, err := json.Marshal(v)
		if err != nil {
			return fmt.Sprint(v)
		}
		return string(b)
	}
	return fmt.Sprint(v)
}

// cell is a value for a spreadsheet, which takes what begins like a formula for
// one. What Sennit saw is others' text.
func cell(v any) string {
	s := text(v)
	if _, ok := v.(string); ok && strings.IndexAny(s, "=+-@\t\r") == 0 {
		return "'" + s
	}
	return s
}

// escape makes of control characters what a terminal does not act on.
func escape(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '\ufffd'
		}
		return r
	}, s)
}
