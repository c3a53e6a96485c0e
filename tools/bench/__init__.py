"""What HotelMate costs, measured against the least that Django and PostgreSQL can cost."""
