// The README's tour with pgJDBC against a running `farthing demo`. Takes the variables of demo.env from the environment,
// prints one line for each check and ends with status 1 if any fails. Run as a single source file:
//     java -cp postgresql.jar JdbcTour.java

import java.math.BigDecimal;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Properties;

public class JdbcTour {
    private static final String ENDLESS =
        "SELECT count(*) FROM costs a, costs b, costs c WHERE a.billed_cost + b.billed_cost > c.billed_cost + 1000000000";

    interface Check {
        void run(Connection connection) throws Exception;
    }

    public static void main(String[] args) {
        Map<String, Check> checks = new LinkedHashMap<>();
        checks.put("jdbc_query", JdbcTour::query);
        checks.put("jdbc_every_digit", JdbcTour::everyDigit);
        checks.put("jdbc_parameters", JdbcTour::parameters);
        checks.put("jdbc_fetch_size", JdbcTour::fetchSize);
        checks.put("jdbc_call", JdbcTour::call);
        checks.put("jdbc_errors", JdbcTour::errors);
        checks.put("jdbc_cancel", JdbcTour::cancel);
        checks.put("jdbc_query_timeout", JdbcTour::queryTimeout);
        int failed = 0;
        for (Map.Entry<String, Check> check : checks.entrySet()) {
            long begin = System.nanoTime();
            try (Connection connection = connect()) {
                check.getValue().run(connection);
                System.out.printf("ok      %s (%.1f s)%n", check.getKey(), (System.nanoTime() - begin) / 1e9);
            } catch (Throwable error) {
                failed++;
                System.out.println("FAILED  " + check.getKey());
                error.printStackTrace(System.out);
            }
        }
        System.exit(failed == 0 ? 0 : 1);
    }

    private static Connection connect() throws SQLException {
        Properties properties = new Properties();
        properties.setProperty("user", env("PGUSER"));
        properties.setProperty("password", env("PGPASSWORD"));
        properties.setProperty("ApplicationName", "JdbcTour");
        return DriverManager.getConnection(
            "jdbc:postgresql://" + env("PGHOST") + ":" + env("PGPORT") + "/" + env("PGDATABASE"), properties);
    }

    private static String env(String name) {
        String value = System.getenv(name);
        expect(value != null, name + " is not set");
        return value;
    }

    private static void expect(boolean condition, String message) {
        if (!condition) {
            throw new AssertionError(message);
        }
    }

    private static void query(Connection connection) throws SQLException {
        try (Statement statement = connection.createStatement();
             ResultSet rows = statement.executeQuery(
                 "SELECT service_name, sum(billed_cost) AS cost FROM costs GROUP BY service_name ORDER BY cost DESC LIMIT 5")) {
            BigDecimal former = null;
            int count = 0;
            while (rows.next()) {
                BigDecimal cost = rows.getBigDecimal("cost");
                expect(former == null || former.compareTo(cost) >= 0, "costs are in order");
                former = cost;
                count++;
            }
            expect(count == 5, count + " rows");
            expect(rows.getMetaData().getColumnTypeName(2).equals("numeric"), rows.getMetaData().getColumnTypeName(2));
        }
    }

    private static void everyDigit(Connection connection) throws SQLException {
        try (PreparedStatement statement =
                 connection.prepareStatement("SELECT 12345678901234567890123456.000000000001::numeric(38, 12)")) {
            // From the fifth execution on the driver asks for binary results.
            for (int run = 0; run < 8; run++) {
                try (ResultSet rows = statement.executeQuery()) {
                    rows.next();
                    String value = rows.getBigDecimal(1).toPlainString();
                    expect(value.equals("12345678901234567890123456.000000000001"), value);
                }
            }
        }
    }

    private static void parameters(Connection connection) throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement(
                "SELECT count(*), min(charge_period_start) FROM costs WHERE sub_account_id = ? AND billed_cost > ?")) {
            statement.setString(1, env("CONNECTED_ACCOUNTS").split(" ")[0]);
            statement.setBigDecimal(2, new BigDecimal("0.000000000001"));
            try (ResultSet rows = statement.executeQuery()) {
                rows.next();
                expect(rows.getLong(1) > 0, "rows are found");
                expect(rows.getTimestamp(2) != null, "timestamps are read");
            }
        }
    }

    private static void fetchSize(Connection connection) throws SQLException {
        connection.setAutoCommit(false);
        try (Statement statement = connection.createStatement()) {
            statement.setFetchSize(1000);
            int count = 0;
            try (ResultSet rows = statement.executeQuery("SELECT resource_id, billed_cost FROM costs LIMIT 10500")) {
                while (rows.next()) {
                    count++;
                }
            }
            expect(count == 10500, count + " rows");
        }
        connection.commit();
    }

    private static void call(Connection connection) throws SQLException {
        String account = env("UNCONNECTED_ACCOUNTS").split(" ")[0];
        try (PreparedStatement statement = connection.prepareStatement(
                "CALL connect_aws_linked(access_key_id => ?, secret_access_key => ?, dry_run => true)")) {
            statement.setString(1, env("ACCOUNT_" + account + "_ACCESS_KEY_ID"));
            statement.setString(2, env("ACCOUNT_" + account + "_SECRET_ACCESS_KEY"));
            expect(statement.execute(), "CALL gives rows");
            boolean planned = false;
            try (ResultSet rows = statement.getResultSet()) {
                while (rows.next()) {
                    planned |= rows.getString("status").equals("planned");
                }
            }
            expect(planned, "a dry run plans");
        }
    }

    private static void errors(Connection connection) throws SQLException {
        refused(connection, "SELEC 1", "42601");
        refused(connection, "SELECT * FROM no_such_table", "42P01");
        refused(connection, "SELECT 1 / 0", "22012");
        refused(connection, "CALL no_such_procedure()", "42883");
    }

    private static void refused(Connection connection, String sql, String state) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.execute(sql);
        } catch (SQLException error) {
            expect(state.equals(error.getSQLState()), sql + ": " + error.getSQLState() + ": " + error.getMessage());
            return;
        }
        throw new AssertionError(sql + " worked");
    }

    private static void cancel(Connection connection) throws Exception {
        try (Statement statement = connection.createStatement()) {
            Thread canceller = new Thread(() -> {
                try {
                    Thread.sleep(1000);
                    statement.cancel();
                } catch (Exception error) {
                    error.printStackTrace(System.out);
                }
            });
            canceller.start();
            long begin = System.nanoTime();
            try {
                statement.executeQuery(ENDLESS);
                throw new AssertionError("the statement was not cancelled");
            } catch (SQLException error) {
                expect("57014".equals(error.getSQLState()), error.getSQLState() + ": " + error.getMessage());
            }
            canceller.join();
            expect(System.nanoTime() - begin < 10_000_000_000L, "it ends soon");
        }
        query(connection);
    }

    private static void queryTimeout(Connection connection) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.setQueryTimeout(1);
            statement.executeQuery(ENDLESS);
            throw new AssertionError("the statement had no timeout");
        } catch (SQLException error) {
            expect("57014".equals(error.getSQLState()), error.getSQLState() + ": " + error.getMessage());
        }
    }
}
