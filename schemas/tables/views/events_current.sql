-- Events, each once: one that was sent again is there as often.
SELECT *
FROM {{from "events"}}
WHERE {{recent "date"}}
QUALIFY ROW_NUMBER() OVER (PARTITION BY event_id ORDER BY observed_time) = 1
