-- beside callbacks: what listeners are to be told, and moments that deadlines of the user's own count from
ALTER TABLE callback_request ADD COLUMN lane text COLLATE "C" NOT NULL DEFAULT 'callback';
