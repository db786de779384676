-- The steps of requests at their last revision, each once.
SELECT s.*
FROM {{from "steps"}} AS s
JOIN {{from "timelines_current"}} AS t
  ON s.timeline_id = t.timeline_id AND s.revision = t.revision AND s.date = t.date
WHERE {{recent "s.date"}}
QUALIFY ROW_NUMBER() OVER (PARTITION BY s.timeline_id, s.step_id ORDER BY s.start_time) = 1
