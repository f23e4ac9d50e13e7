select apt_date, count(*) as appointments, sum(fee) as production
from {{ source('raw', 'appointment') }}
group by apt_date
